"""Two hosts that have addresses of IPv6 alone: Ray, the data stages on its nodes, and training meet there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.hosts import NETWORK_6, HostsUnavailable, booted, install_kernels
from tests.support.ray_hosts import ray_on
from tests.support.small_run import DATA_STAGES, Digests, configuration, local_digests, write_corpus

pytestmark = [pytest.mark.long, pytest.mark.hosts]
CLUSTER = '{{launcher: ray, address: "{address}", workers: 2, beam: {{runner: ray, workers: 2}}}}'
RUN = [sys.executable, "-m", "cluster.cli", "run"]


def test_the_data_and_training_over_ipv6(
    tmp_path: Path, local_run: Digests, by_stage: Callable[[Digests], dict[str, str]]
) -> None:
    shared = tmp_path / "shared"
    write_corpus(shared / "corpus")
    try:
        with booted(["one", "two"], shared=shared, network=NETWORK_6) as hosts, ray_on(hosts, tmp_path) as ray:
            for host in hosts.all:
                install_kernels(host)
            text = configuration("/mnt/shared/work", "/mnt/shared/corpus", cluster=CLUSTER.format(address=ray.address))
            clean = "clean: {cleaners: [unicode], filters: [{length: {min_units: 5}}]}\n"
            (shared / "run.yaml").write_text(text + clean, encoding="utf-8")
            printed = hosts[0].run([*RUN, "/mnt/shared/run.yaml"], timeout=600)
    except HostsUnavailable as error:
        pytest.skip(f"no hosts: {error}")
    found, expected = by_stage(local_digests(shared / "work")), by_stage(local_run)
    assert "pretrain" in found, printed
    assert {name: found[name] for name in DATA_STAGES} == {name: expected[name] for name in DATA_STAGES}
