"""The portable runner: Beam's own job service on one host, its workers on another, the work directory behind S3."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.processes import kill_group
from tests.support.small_run import DATA_STAGES, Digests, of_data

pytestmark = [pytest.mark.long, pytest.mark.hosts]
JOBS, POOL = 8099, 8100
RUNNER = (
    "{{runner: portable, options: {{job_endpoint: '{jobs}', environment_type: EXTERNAL, "
    "environment_config: '{pool}'}}}}"
)


def test_the_data_of_one_machine_on_a_portable_runner(
    cluster: Cluster, local_run: Digests, by_stage: Callable[[Digests], dict[str, str]], tmp_path: Path
) -> None:
    driver, worker = cluster.hosts[0], cluster.hosts[1]
    # the job service tells its workers the name of its host
    names = worker.path("/etc/hosts")
    names.write_text(f"{names.read_text(encoding='utf-8')}{driver.address} {driver.name}\n", encoding="utf-8")
    services = [
        driver.start(
            [sys.executable, "-m", "apache_beam.runners.portability.local_job_service_main", "--port", str(JOBS)],
            tmp_path / "jobs.txt",
        ),
        worker.start(
            [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", "--service_port", str(POOL)],
            tmp_path / "pool.txt",
        ),
    ]
    try:
        beam = RUNNER.format(jobs=f"localhost:{JOBS}", pool=f"{worker.address}:{POOL}")
        cluster.start("portable", "--to", "pack", beam=beam).succeeds()
    finally:
        for service in services:
            kill_group(service)
    found, expected = by_stage(of_data(cluster.digests("portable"))), by_stage(of_data(local_run))
    assert found == expected
    assert set(found) == set(DATA_STAGES)
    assert "sdk_worker" in (tmp_path / "pool.txt").read_text(encoding="utf-8")
