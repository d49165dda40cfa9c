"""Three hosts train, and one is cut off: training goes on without it, and with it again once it is back.

Prints the seconds (pytest -s). Here no name server answers at all: a look-up waits for 10 s unless something is done.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from tests.support.hosts import Host, Hosts, HostsUnavailable, booted, install_kernels
from tests.support.processes import wait_until
from tests.support.ray_hosts import ray_on

pytestmark = pytest.mark.long

CONFIG = """\
workdir: /mnt/shared/work
ingest: {{sources: [{{reader: jsonl, paths: "/mnt/shared/*.jsonl"}}]}}
tokenizer: {{vocabulary: 300}}
pack: {{length: 16, validation: 0.2}}
pretrain:
  model: {{gpt: {{layers: 1, heads: 2, width: 16}}}}
  steps: {steps}
  save_every: 5
  batch_tokens: 96
  engine: {{zero: {{stage: 2}}}}
cluster: {{launcher: ray, address: "{address}", workers: {{min: 1, max: 3}}, max_failures: 5, beam: {{workers: 1}}}}
"""
# an address on the bridge at which nobody answers, with the resolver's own patience
RESOLVER = "nameserver 10.77.0.99\n"


def events(work: Path, kind: str) -> list[dict[str, object]]:
    lines = [line for path in work.glob("runs/*/events.jsonl") for line in path.read_text().splitlines()]
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def steps_made(work: Path) -> int:
    paths = list(work.glob("runs/*/metrics/pretrain.jsonl"))
    return sum(1 for _ in paths[0].open()) if paths else 0


def first_step_after(work: Path, start: float) -> tuple[int, float]:
    """The first step that was made after a time, and when."""
    [path] = work.glob("runs/*/metrics/pretrain.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return next((row["step"], row["time"]) for row in rows if row.get("time", 0.0) > start)


def without_name_server(hosts: Hosts) -> None:
    for host in hosts.all:
        host.path("/mnt/resolv.conf").write_text(RESOLVER)


def test_a_host_that_is_cut_off_is_left_behind_and_counts_again_when_it_is_back(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    lines = (f'{{"text": "the quiet river carries a letter {number}"}}\n' for number in range(200))
    (shared / "texts.jsonl").write_text("".join(lines), encoding="utf-8")
    work = shared / "work"
    try:
        with booted(["one", "two", "three"], shared=shared) as hosts:
            without_name_server(hosts)
            with ray_on(hosts, tmp_path) as ray:
                install_kernels(hosts[0])
                (shared / "run.yaml").write_text(CONFIG.format(address=ray.address, steps=60), encoding="utf-8")
                log = tmp_path / "run.txt"
                run = hosts[0].start([sys.executable, "-m", "cluster.cli", "run", "/mnt/shared/run.yaml"], log)
                wait_until(lambda: run.poll() is not None or steps_made(work) > 12, "12 steps", timeout=900)
                victim = host_of_a_worker(hosts)
                cut_at = time.time()
                hosts.cut(victim)
                wait_until(
                    lambda: run.poll() is not None or bool(events(work, "gang_recovered")), "recovery", timeout=200
                )
                load = os.getloadavg()[0] / (os.cpu_count() or 1)
                [restarted] = events(work, "gang_restarted")
                step, made_at = first_step_after(work, float(str(restarted["time"])))
                print(f"\ncut {victim.address} → step {step} after {made_at - cut_at:.1f} s; load {load:.1f} a core")
                assert run.wait(400) == 0, log.read_text(encoding="utf-8")
    except HostsUnavailable as error:
        pytest.skip(f"no hosts: {error}")
    [lost] = events(work, "worker_lost")
    assert lost["host"] == victim.address


def host_of_a_worker(hosts: Hosts) -> Host:
    """A host that runs a worker of the gang, other than the head's."""
    return next(host for host in hosts.all[1:] if any("fork_server" in line for line in host.processes().values()))
