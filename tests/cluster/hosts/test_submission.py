"""A run submitted from one host runs on the others, is stopped, and goes on when it is submitted again."""

from __future__ import annotations

import re
import sys
import time

import pytest

from tests.support.cluster import Cluster
from tests.support.small_run import Digests, of_data

pytestmark = [pytest.mark.long, pytest.mark.hosts]

BLOOMERY = [sys.executable, "-m", "cluster.cli"]
WAIT_S = 900.0


def test_a_submitted_run_is_stopped_and_goes_on_when_it_is_submitted_again(
    cluster: Cluster, local_run: Digests
) -> None:
    pytest.importorskip("aiohttp_cors", reason="needs the extra `submit`")
    client = cluster.members[1]
    config, address = cluster.configure("submitted", client), ["--address", cluster.ray.dashboard_url]

    def ask(*words: str) -> str:
        return client.run([*BLOOMERY, *words, *address], timeout=WAIT_S)

    first = ask("submit", config, "--id", "first", "--to", "pack", "--no-wait")
    assert "first" in first
    end = time.monotonic() + WAIT_S
    while not re.search(r"ingest +✓", log := ask("logs", "first")):
        assert time.monotonic() < end, log
        time.sleep(2)
    assert "running" in ask("status", "first")
    assert "To go on, submit the run again" in ask("stop", "first")
    assert "stopped" in ask("status", "first")

    assert "second: succeeded" in ask("submit", config, "--id", "second", "--to", "pack")
    assert sorted(of_data(cluster.digests("submitted")).values()) == sorted(of_data(local_run).values())
