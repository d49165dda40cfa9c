"""Three hosts with Ray that share a network and an S3 server; a run on this machine alone to compare with."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.support.cluster import RUN, Cluster, three_hosts
from tests.support.hosts import HostsUnavailable
from tests.support.s3 import ServerUnavailable
from tests.support.small_run import Digests, local_digests, whole_path, write_corpus

LOCAL = "{launcher: local, workers: 2, beam: {workers: 2}}"


@pytest.fixture(scope="session")
def whole_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    try:
        with three_hosts(tmp_path_factory.mktemp("cluster")) as cluster:
            yield cluster
    except (HostsUnavailable, ServerUnavailable) as error:
        pytest.skip(f"no cluster of hosts: {error}")


@pytest.fixture
def cluster(whole_cluster: Cluster) -> Cluster:
    """All hosts are on and members of Ray, whatever the test before did."""
    whole_cluster.mend()
    return whole_cluster


@pytest.fixture(scope="session")
def local_run(tmp_path_factory: pytest.TempPathFactory) -> Digests:
    """stage/fingerprint → digest of the whole path on this machine alone, with a local store."""
    folder = tmp_path_factory.mktemp("local")
    write_corpus(folder / "corpus")
    config = folder / "local.yaml"
    text = whole_path(str(folder / "work"), str(folder / "corpus"), cluster=LOCAL)
    config.write_text(text, encoding="utf-8")
    ended = subprocess.run(
        [*RUN, str(config)], cwd=folder, env={**os.environ, "PYTHONSAFEPATH": "1"}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout
    return local_digests(folder / "work")


@pytest.fixture(scope="session")
def by_stage() -> Callable[[Digests], dict[str, str]]:
    """Stage → digest: raw files at other addresses have other fingerprints."""
    return lambda digests: {name.split("/")[0]: digest for name, digest in digests.items()}
