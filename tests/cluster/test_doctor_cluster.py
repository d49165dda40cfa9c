"""`doctor --cluster`: what measurements of a cluster mean, and that disagreements are errors."""

from __future__ import annotations

import secrets
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.commands.doctor_cluster import diagnoses
from cluster.launchers.node_probe import NodeFacts, listen, measure_link, measure_store, node_facts
from cluster.launchers.ray_probe import Clock, ClusterFacts, Link
from pipeline.core.errors import UserError
from pipeline.core.job import ClusterOptions

OPTIONS = ClusterOptions(launcher="ray", address="10.0.0.1:6379", workers=4)


def node(address: str) -> NodeFacts:
    return {
        "address": address, "host": f"host-{address[-1]}", "versions": {"python": "3.11.7", "torch": "2.13.0"},
        "machine": "x86_64", "cpu": "avx512_bf16", "cores": 8, "gpus": 0, "disk_free": 100_000_000_000,
    }  # fmt: skip


HEALTHY = ClusterFacts(
    own=node("this machine"),
    nodes={address: node(address) for address in ("10.0.0.1", "10.0.0.2")},
    totals={address: {"CPU": 8.0} for address in ("10.0.0.1", "10.0.0.2")},
    problems={},
    clocks={"10.0.0.1": Clock(0.0002, 0.0001), "10.0.0.2": Clock(-0.004, 0.0005)},
    links=[Link("10.0.0.1", "10.0.0.2", 1.2e9, 0.0002), Link("10.0.0.2", "10.0.0.1", 1.1e9, 0.0002)],
    store={address: {"write": 90e6, "read": 200e6, "problem": ""} for address in ("10.0.0.1", "10.0.0.2")},
    without_workdir=[],
    health={"period_s": 1.0, "timeout_s": 1.0, "threshold": 3},
)


def found(facts: ClusterFacts, options: ClusterOptions = OPTIONS, mark: str = "✗") -> list[str]:
    return [f"{line.subject}: {line.text}" for line in diagnoses(facts, options) if line.mark == mark]


def test_a_cluster_whose_nodes_agree_has_nothing_but_marks_of_approval() -> None:
    lines = list(diagnoses(HEALTHY, OPTIONS))
    assert [line.mark for line in lines] == ["✓"] * len(lines)
    text = "\n".join(line.text for line in lines)
    for expected in (
        "2 nodes with 16 CPU, 0 GPU", "Python 3.11.7 and 1 libraries", "at most 4.0 ms",
        "1.1 GB/s on the slowest of 2 links",
        "writes 90 MB/s and reads 200 MB/s", "after at most 6.0 s in training and 6.0 s in other tasks",
    ):  # fmt: skip
        assert expected in text, expected


def test_another_version_on_one_node_is_an_error_that_names_node_and_library() -> None:
    other = {**node("10.0.0.2"), "versions": {"python": "3.11.7", "torch": "2.12.0"}}
    facts = replace(HEALTHY, nodes={**HEALTHY.nodes, "10.0.0.2": other})  # type: ignore[dict-item]
    assert found(facts) == [
        "versions: 10.0.0.2 has torch 2.12.0 (here 2.13.0): install the same versions, or "
        "results and messages may differ"
    ]


def test_a_clock_that_is_off_is_an_error_only_beyond_what_the_measurement_can_tell() -> None:
    wrong = replace(HEALTHY, clocks={"10.0.0.2": Clock(-90.0, 0.01)})
    assert "that of 10.0.0.2 is 1 min 30 s behind this one" in found(wrong)[0]
    assert found(replace(HEALTHY, clocks={"10.0.0.2": Clock(1.5, 0.8)})) == []


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (replace(HEALTHY, problems={"10.0.0.3": "does not start a process: timeout"}), "10.0.0.3 does not start"),
        (replace(HEALTHY, links=[Link("a", "b", 0.0, 0.0, "timed out")]), "network: a does not reach b (timed out)"),
        (replace(HEALTHY, store={}, without_workdir=["10.0.0.2"]), "workdir: 10.0.0.2 does not see the folder"),
        (replace(HEALTHY, store={"10.0.0.2": {"write": 0, "read": 0, "problem": "no such bucket"}}), "no such bucket"),
        (replace(HEALTHY, totals={"10.0.0.1": {"CPU": 2.0}, "10.0.0.2": {"CPU": 1.0}}), "room for 3"),
        (replace(HEALTHY, totals={**HEALTHY.totals, "10.0.0.2": {"CPU": 8.0, "GPU": 2.0}}), "has 0, Ray gives away 2"),
    ],
)  # fmt: skip
def test_what_would_stop_a_run_is_an_error(facts: ClusterFacts, words: str) -> None:
    assert any(words in line for line in found(facts)), found(facts)


def test_slow_health_checks_are_explained_with_the_option_that_shortens_them() -> None:
    facts = replace(HEALTHY, health={"period_s": 3.0, "timeout_s": 10.0, "threshold": 5})
    [warning] = found(facts, mark="!")
    assert "at most 15 s in training and 1 min 05 s in other tasks" in warning and "health_check_period_ms" in warning


def test_a_link_is_measured_and_answers_only_who_knows_the_nonce() -> None:
    nonce = secrets.token_bytes(16)
    rate, round_trip = measure_link("127.0.0.1", listen("127.0.0.1", nonce), nonce)
    assert rate > 1e6 and 0 < round_trip < 5
    with pytest.raises(OSError):
        measure_link("127.0.0.1", listen("127.0.0.1", nonce), bytes(16))


def test_a_store_is_measured_and_left_as_it_was(tmp_path: Path) -> None:
    store = measure_store(f"file://{tmp_path}")
    assert store["problem"] == "" and store["write"] > 0 and store["read"] > 0
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert "nowhere" in measure_store("nowhere://x")["problem"]


def test_a_node_says_what_it_is() -> None:
    facts = node_facts("127.0.0.1")
    assert facts["versions"]["python"].startswith("3.") and facts["cores"] > 0 and facts["disk_free"] > 0


CONFIG = """\
name: probe
workdir: {folder}/work
ingest: {{sources: [{{reader: jsonl, paths: "{folder}/*.jsonl"}}]}}
cluster: {cluster}
"""


def write(folder: Path, cluster: str) -> Path:
    (folder / "a.jsonl").write_text('{"id": "1", "text": "iron", "lang": "en"}\n')
    path = folder / "c.yaml"
    path.write_text(CONFIG.format(folder=folder, cluster=cluster))
    return path


def test_a_configuration_without_ray_is_refused_in_a_sentence(tmp_path: Path) -> None:
    from cluster.commands.doctor_cluster import doctor_cluster

    with pytest.raises(UserError, match="cluster.launcher is local"):
        doctor_cluster(write(tmp_path, "{launcher: local}"))


@pytest.mark.long
def test_a_local_ray_is_measured_from_the_command_line(tmp_path: Path) -> None:
    path = write(tmp_path, "{launcher: ray, workers: 1}")
    command = [sys.executable, "-m", "cluster.cli", "doctor", "--cluster", str(path)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert process.returncode == 0, process.stdout + process.stderr
    for expected in ("✓ nodes       1 node", "✓ versions", "✓ clocks", "✓ workdir", "node loss", "All checks passed."):
        assert expected in process.stdout, process.stdout
