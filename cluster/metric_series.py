"""The series of the Prometheus metrics: their names and help, and their values in a snapshot of a run.

Names follow Prometheus' conventions: base units, `_total` for what only grows. All have the label `run`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from cluster.live import RUN_STATES, STAGE_STATES, LiveRank, LiveRun, LiveStage

PREFIX = "bloomery_"


@dataclass(frozen=True)
class MetricSeries:
    """A metric: its type, its help and its labels beside `run`. The name of a counter is given without `_total`."""

    type: Literal["gauge", "counter"]
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sample:
    """A value of a series, by its name."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


_STAGE, _STEP, _TASKS, _RANK = ("stage",), ("stage", "step"), ("stage", "step", "state"), ("stage", "rank", "host")
SERIES: dict[str, MetricSeries] = {
    "run_state": MetricSeries("gauge", "1 for the state that the run is in, 0 for the others", ("state",)),
    "run_start_time_seconds": MetricSeries("gauge", "Unix time at which the run started"),
    "run_update_time_seconds": MetricSeries("gauge", "Unix time of these figures"),
    "stage_state": MetricSeries("gauge", "1 for the state that the stage is in, 0 for the others", ("stage", "state")),
    "stage_attempt": MetricSeries("gauge", "Number of the current attempt", _STAGE),
    "stage_duration_seconds": MetricSeries("gauge", "Wall time of the stage so far", _STAGE),
    "stage_cpu_seconds": MetricSeries(
        "gauge", "CPU time of the finished stage, all its processes on this host", _STAGE
    ),
    "stage_peak_memory_bytes": MetricSeries("gauge", "Memory of the largest process of the finished stage", _STAGE),
    "stage_output_bytes": MetricSeries("gauge", "Size of what the stage published", _STAGE),
    "stage_output_files": MetricSeries("gauge", "Files that the stage published", _STAGE),
    "stage_rows": MetricSeries("gauge", "Rows of the finished stage by outcome", ("stage", "outcome")),
    "step_done_bytes": MetricSeries("gauge", "Work done in a step that is measured in bytes", _STEP),
    "step_expected_bytes": MetricSeries("gauge", "All work of a step that is measured in bytes", _STEP),
    "step_done_units": MetricSeries("gauge", "Work done in a step, in its unit", (*_STEP, "unit")),
    "step_expected_units": MetricSeries("gauge", "All work of a step, in its unit", (*_STEP, "unit")),
    "tasks": MetricSeries("gauge", "Tasks of a step by state", _TASKS),
    "task_retries": MetricSeries("counter", "Tasks that were given to another worker after a loss", _STEP),
    "workers_started": MetricSeries("counter", "Workers that became ready", _STAGE),
    "workers_lost": MetricSeries("counter", "Workers that ended before their work did", _STAGE),
    "stage_restarts": MetricSeries("counter", "Restarts of the stage after one of its processes died", _STAGE),
    "gang_restarts": MetricSeries("counter", "Restarts of the training gang after a loss", _STAGE),
    "checkpoints": MetricSeries("counter", "Checkpoints completed in this run", _STAGE),
    "checkpoint_step": MetricSeries("gauge", "Training step of the last checkpoint", _STAGE),
    "checkpoint_bytes": MetricSeries("gauge", "Size of the last checkpoint", _STAGE),
    "checkpoint_duration_seconds": MetricSeries("gauge", "Time that training waited for the last checkpoint", _STAGE),
    "training_step": MetricSeries("gauge", "Last finished training step", _STAGE),
    "training_loss": MetricSeries("gauge", "Loss of the last step, in nats per token", _STAGE),
    "training_validation_loss": MetricSeries("gauge", "Last held-out loss, in nats per token", _STAGE),
    "training_learning_rate": MetricSeries("gauge", "Learning rate of the last step", _STAGE),
    "training_gradient_norm": MetricSeries("gauge", "Norm of the gradient before clipping", _STAGE),
    "training_tokens_per_second": MetricSeries("gauge", "Tokens per second of all ranks together", _STAGE),
    "rank_step": MetricSeries("gauge", "Last step that the rank reported", _RANK),
    "rank_seconds": MetricSeries("counter", "Wall time of the rank by what it was spent on", (*_RANK, "kind")),
    "rank_gpu_memory_bytes": MetricSeries("gauge", "Memory allocated on the GPU of the rank; absent on a CPU", _RANK),
}
TRAINING = ("step", "loss", "validation_loss", "learning_rate", "gradient_norm", "tokens_per_second")


def samples_of(run: LiveRun) -> Iterator[Sample]:
    """Every value of a snapshot; what is not known has no sample."""
    for state in RUN_STATES:
        yield Sample("run_state", float(run["state"] == state), {"state": state})
    yield Sample("run_start_time_seconds", run["started"])
    yield Sample("run_update_time_seconds", run["updated"])
    for name, stage in run["stages"].items():
        for sample in (*_stage(stage), *_work(stage), *_losses(stage), *_training(stage)):
            yield Sample(sample.name, sample.value, {"stage": name, **sample.labels})


def _stage(stage: LiveStage) -> Iterator[Sample]:
    for state in STAGE_STATES:
        yield Sample("stage_state", float(stage.get("state") == state), {"state": state})
    values = {
        "attempt": stage.get("attempt"), "duration_seconds": stage.get("seconds"),
        "cpu_seconds": stage.get("cpu_seconds"), "peak_memory_bytes": stage.get("peak_bytes"),
        "output_bytes": stage.get("bytes"), "output_files": stage.get("files"),
    }  # fmt: skip
    yield from _known("stage_", values)
    for outcome, count in stage.get("rows", {}).items():
        yield Sample("stage_rows", float(str(count)), {"outcome": outcome})


def _work(stage: LiveStage) -> Iterator[Sample]:
    """Progress and tasks of each step."""
    for name, step in stage.get("steps", {}).items():
        is_bytes = step["unit"] == "bytes"
        labels = {"step": name} if is_bytes else {"step": name, "unit": step["unit"]}
        suffix = "bytes" if is_bytes else "units"
        yield Sample(f"step_done_{suffix}", step["done"], labels)
        yield Sample(f"step_expected_{suffix}", step["total"], labels)
    for name, tasks in stage.get("tasks", {}).items():
        for state, count in (("waiting", tasks["waiting"]), ("running", tasks["running"]), ("done", tasks["done"])):
            yield Sample("tasks", count, {"step": name, "state": state})
        yield Sample("task_retries", tasks["retried"], {"step": name})


def _losses(stage: LiveStage) -> Iterator[Sample]:
    if stage.get("state") in ("waiting", "cached"):
        return
    yield Sample("workers_started", stage.get("workers_started", 0))
    yield Sample("workers_lost", stage.get("workers_lost", 0))
    yield Sample("stage_restarts", stage.get("restarts", 0))
    yield Sample("gang_restarts", stage.get("gang_restarts", 0))


def _training(stage: LiveStage) -> Iterator[Sample]:
    checkpoint, training = stage.get("checkpoint"), stage.get("training", {})
    if checkpoint is not None:
        yield Sample("checkpoints", checkpoint["count"])
        values = {"step": checkpoint["step"], "bytes": checkpoint["bytes"], "duration_seconds": checkpoint["seconds"]}
        yield from _known("checkpoint_", values)
    yield from _known("training_", {key: training.get(key) for key in TRAINING})
    for number, rank in stage.get("ranks", {}).items():
        yield from _rank(number, rank)


def _rank(number: str, rank: LiveRank) -> Iterator[Sample]:
    labels = {"rank": number, "host": rank.get("host", "")}
    for name, value in (("rank_step", rank.get("step")), ("rank_gpu_memory_bytes", rank.get("gpu_bytes"))):
        if value is not None:
            yield Sample(name, value, labels)
    for kind, seconds in rank.get("seconds", {}).items():
        yield Sample("rank_seconds", seconds, {**labels, "kind": kind})


def _known(prefix: str, values: Mapping[str, object]) -> Iterator[Sample]:
    for name, value in values.items():
        if isinstance(value, int | float):
            yield Sample(prefix + name, value)
