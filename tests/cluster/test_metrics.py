"""Metrics as Prometheus reads them: parsed by its own library, from the file and from the endpoint."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import cluster
from cluster.live import LiveRun, LiveState
from cluster.metric_series import PREFIX, SERIES
from cluster.metrics import MetricsExport
from cluster.progress import ProgressMessage, StageProgress
from cluster.sections import Metrics
from pipeline.core.errors import UserError

parser = pytest.importorskip("prometheus_client.parser")
Values = dict[tuple[str, frozenset[tuple[str, str]]], float]
MESSAGES: tuple[ProgressMessage, ...] = (
    {"kind": "worker_started", "worker": "0", "host": "a", "pid": 7, "device": "NVIDIA H200"},
    {"kind": "worker_started", "worker": "1", "host": "b", "pid": 8, "device": "cpu"},
    {"kind": "total", "step": "train", "total": 100, "unit": "steps"},
    {"kind": "add", "step": "train", "n": 5},
    {"kind": "train", "step": 5, "loss": 4.5, "learning_rate": 0.01, "tokens_per_second": 1200.0},
    {"kind": "rank", "rank": 0, "host": "a", "step": 5, "seconds": {"compute": 9.5, "data_wait": 0.5}, "gpu_bytes": 64},
    {"kind": "rank", "rank": 1, "host": "b", "step": 5, "seconds": {"compute": 8.0}},
    {"kind": "checkpoint_saved", "step": 4, "bytes": 1024, "seconds": 0.25},
)  # fmt: skip


def live() -> LiveState:
    """A run whose data stage has retried a task, and whose training goes on."""
    state = LiveState("20261129-120000-demo", "a", 1)
    state.plan(["dedupe", "pretrain", "export"])
    data = StageProgress("dedupe")
    state.begin("dedupe", data, 1)
    for message in (
        {"kind": "total", "step": "compare", "total": 300, "unit": "bytes", "tasks": 3},
        *({"kind": "task_started", "step": "compare"},) * 2,
        {"kind": "add", "step": "compare", "n": 100, "tasks": 1},
        {"kind": "task_retried", "step": "compare", "task": "2", "attempt": 2, "worker": "w1", "cause": "lost"},
    ):
        data.apply(message)  # type: ignore[arg-type]
        state.apply(message)  # type: ignore[arg-type]
    state.end("dedupe", "done", seconds=12.5, cpu_seconds=20.0, peak_bytes=4096)
    training = StageProgress("pretrain")
    state.begin("pretrain", training, 2)
    for message in MESSAGES:
        training.apply(message)
        state.apply(message)
    return state


@pytest.fixture
def run() -> LiveRun:
    return live().snapshot()


def parsed(text: str) -> Values:
    """Name and labels → value, by Prometheus' own parser; every metric must have a type and a help."""
    values: Values = {}
    for family in parser.text_string_to_metric_families(text):
        assert family.type in ("gauge", "counter") and family.documentation, family.name
        for sample in family.samples:
            values[sample.name, frozenset(sample.labels.items())] = sample.value
    return values


def value(values: Values, name: str, **labels: str) -> float:
    return values[PREFIX + name, frozenset({"run": "20261129-120000-demo", **labels}.items())]


def test_a_file_holds_every_stage_task_and_rank(run: LiveRun, tmp_path: Path) -> None:
    with MetricsExport(Metrics(file=str(tmp_path / "b.prom"))) as export:
        export.update(run)
    values = parsed((tmp_path / "b.prom").read_text(encoding="utf-8"))
    assert value(values, "stage_state", stage="dedupe", state="done") == 1
    assert value(values, "stage_state", stage="pretrain", state="running") == 1
    assert value(values, "stage_state", stage="export", state="waiting") == 1
    assert value(values, "stage_duration_seconds", stage="dedupe") == 12.5
    assert value(values, "step_done_bytes", stage="dedupe", step="compare") == 100
    assert value(values, "tasks", stage="dedupe", step="compare", state="done") == 1
    assert value(values, "tasks", stage="dedupe", step="compare", state="waiting") == 2
    assert value(values, "task_retries_total", stage="dedupe", step="compare") == 1
    assert value(values, "step_expected_units", stage="pretrain", step="train", unit="steps") == 100
    assert value(values, "training_loss", stage="pretrain") == 4.5
    assert value(values, "checkpoint_duration_seconds", stage="pretrain") == 0.25
    rank = {"stage": "pretrain", "rank": "0", "host": "a"}
    assert value(values, "rank_seconds_total", **rank, kind="compute") == 9.5
    assert value(values, "rank_gpu_memory_bytes", **rank) == 64
    assert PREFIX + "rank_gpu_memory_bytes" in {name for name, labels in values}
    assert sum(name == PREFIX + "rank_gpu_memory_bytes" for name, labels in values) == 1, "rank 1 has no GPU"


def test_the_endpoint_serves_the_last_snapshot_and_ends_with_the_run(run: LiveRun) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}/metrics"
    with MetricsExport(Metrics(port=port)) as export:
        assert parsed(_get(address)) == {}, "nothing is known yet"
        export.update(run)
        assert value(parsed(_get(address)), "rank_step", stage="pretrain", rank="1", host="b") == 5
        with pytest.raises(UserError, match=rf"metrics.port: cannot listen on 127.0.0.1:{port}"):
            MetricsExport(Metrics(port=port)).__enter__()
    with pytest.raises(urllib.error.URLError):
        _get(address)


def _get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=10) as answer:
        text: str = answer.read().decode()
        return text


def test_every_series_is_documented_and_every_documented_one_exists() -> None:
    readme = (Path(cluster.__file__).parent / "README.md").read_text(encoding="utf-8")
    for name, series in SERIES.items():
        full = PREFIX + name + ("_total" if series.type == "counter" else "")
        assert f"`{full}`" in readme, full


def test_a_finished_stage_counts_its_rows(tmp_path: Path, run: LiveRun) -> None:
    run["stages"]["dedupe"]["rows"] = {"read": 9, "kept": 6, "dropped": 2, "quarantined": 1}
    with MetricsExport(Metrics(file=str(tmp_path / "b.prom"))) as export:
        export.update(run)
    values = parsed((tmp_path / "b.prom").read_text(encoding="utf-8"))
    rows = {outcome: value(values, "stage_rows", stage="dedupe", outcome=outcome) for outcome in ("read", "dropped")}
    assert rows == {"read": 9, "dropped": 2}


def test_a_run_without_metrics_imports_nothing_and_writes_nothing(run: LiveRun) -> None:
    with MetricsExport(Metrics()) as export:
        export.update(run)


def test_a_snapshot_is_json_and_does_not_change_any_more() -> None:
    state = live()
    before = state.snapshot()
    text = json.dumps(before)
    state.apply({"kind": "rank", "rank": 0, "host": "a", "step": 6, "seconds": {"compute": 10.0}})
    state.apply({"kind": "gang_restarted", "attempt": 2, "workers": 1, "cause": "lost"})
    assert json.dumps(before) == text
    after = state.snapshot()["stages"]["pretrain"]
    assert after["ranks"] == {} and after["gang_restarts"] == 1 and after["workers_started"] == 2
