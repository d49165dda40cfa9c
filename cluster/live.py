"""What a run is doing now, as one JSON value: gathered by the supervisor, read by `top` and the metrics.

The supervisor writes it to runs/<run>/live.json every few seconds, by rename. No result depends on it, nor
does resuming.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal, TypedDict, cast

from cluster.progress import ProgressMessage, StageProgress
from pipeline.core.artifact import Artifact

FILE = "live.json"

RunState = Literal["running", "finished", "failed", "stopped"]
StageState = Literal["waiting", "running", "done", "cached", "failed", "stopped"]
RUN_STATES: tuple[RunState, ...] = ("running", "finished", "failed", "stopped")
STAGE_STATES: tuple[StageState, ...] = ("waiting", "running", "done", "cached", "failed", "stopped")


class RowOutcomes(TypedDict):
    """The rows of a stage that has published: read = kept + dropped + quarantined."""

    read: int
    kept: int
    dropped: int
    quarantined: int


class Published(TypedDict, total=False):
    """The size of what a stage published, and its rows if it counts them."""

    bytes: int
    files: int
    rows: RowOutcomes


class LiveStep(TypedDict):
    """How far a step of a stage is. `rate`: units per second, 0 while it is unknown."""

    unit: str
    done: float
    total: float
    rate: float


class LiveTasks(TypedDict):
    """The tasks of a step by state, and how many were given out again after a loss."""

    waiting: int
    running: int
    done: int
    retried: int


class LiveCheckpoint(TypedDict):
    """The last checkpoint, and how many there were."""

    count: int
    step: int
    bytes: int
    seconds: float


class LiveRank(TypedDict, total=False):
    """A rank of the gang; `seconds` by kind of training/trainer/goodput.py."""

    host: str
    device: str
    step: int
    seconds: dict[str, float]
    gpu_bytes: int


class LiveTraining(TypedDict, total=False):
    """The figures of the last training step."""

    step: int
    loss: float
    learning_rate: float
    gradient_norm: float
    validation_loss: float
    tokens_per_second: float
    left_s: float


class LiveStage(Published, total=False):
    """A step of the run."""

    state: StageState
    attempt: int
    restarts: int  # of the whole stage, after a process of it died
    line: str  # as the console shows it
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    steps: dict[str, LiveStep]
    tasks: dict[str, LiveTasks]
    workers_started: int
    workers_lost: int
    gang_restarts: int
    checkpoint: LiveCheckpoint
    training: LiveTraining
    ranks: dict[str, LiveRank]


class LiveRun(TypedDict):
    """The whole of live.json. Times are Unix times."""

    run: str
    state: RunState
    host: str
    pid: int
    started: float
    updated: float
    order: list[str]  # of the stages
    stages: dict[str, LiveStage]


def published(artifact: Artifact) -> Published:
    """What is known of an artifact."""
    files, counts = artifact.manifest.files, artifact.manifest.counts
    output: Published = {"bytes": sum(file.bytes for file in files), "files": len(files)}
    if "in" in counts and "out" in counts:
        output["rows"] = {
            "read": counts["in"], "kept": counts["out"], "dropped": sum(counts.get("dropped", {}).values()),
            "quarantined": counts.get("quarantined", 0),
        }  # fmt: skip
    return output


@dataclass
class LiveState:
    """Gathers messages and outcomes of a run; `snapshot` gives a value that is not changed any more."""

    run: str
    host: str
    pid: int
    started: float = field(default_factory=time.time)
    state: RunState = "running"
    stages: dict[str, LiveStage] = field(default_factory=dict)
    _progress: StageProgress | None = None
    _began: float = 0.0

    def plan(self, stages: list[str]) -> None:
        """The steps to come."""
        self.stages = {stage: {"state": "waiting"} for stage in stages}

    def begin(self, stage: str, progress: StageProgress, attempt: int, *, restarts: int = 0) -> None:
        """An attempt at a step starts; `progress` is what its messages are applied to."""
        before = self.stages.get(stage, {})
        self.stages[stage] = {"state": "running", "attempt": attempt}
        if restarts:
            running = self.stages[stage]
            running["restarts"] = restarts
            # counters go on where the stage does
            running["workers_started"] = before.get("workers_started", 0)
            running["workers_lost"] = before.get("workers_lost", 0)
            running["gang_restarts"] = before.get("gang_restarts", 0)
        self._progress, self._began = progress, time.monotonic()

    def end(
        self, stage: str, state: StageState, artifact: Artifact | None = None, *, seconds: float = 0.0,
        cpu_seconds: float = 0.0, peak_bytes: int = 0,
    ) -> None:  # fmt: skip
        """A step has ended, or was cached. What it cost is unknown where it is 0."""
        self._update()
        self._progress = None
        live = self.stages.setdefault(stage, {})
        live["state"] = state
        live.pop("line", None)
        if seconds:
            live |= {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_bytes": peak_bytes}
        if artifact is not None:
            self.stages[stage] = cast(LiveStage, {**live, **published(artifact)})

    def fail(self, stage: str, state: Literal["failed", "stopped"]) -> None:
        """The run has ended with this step."""
        self.end(stage, state)
        self.state = state

    def apply(self, message: ProgressMessage) -> None:
        """A message of the running step; its progress is applied by the supervisor."""
        if self._progress is None:
            return
        live = self.stages[self._progress.stage]
        kind = message.get("kind")
        if kind == "worker_lost":
            live["workers_lost"] = live.get("workers_lost", 0) + 1
        elif kind == "train":
            training = {key: value for key, value in message.items() if key in LiveTraining.__annotations__}
            live["training"] = cast(LiveTraining, {**live.get("training", {}), **training})
        elif kind == "checkpoint_saved":
            before = live.get("checkpoint", {"count": 0})
            live["checkpoint"] = {
                "count": before["count"] + 1, "step": int(message.get("step", 0)), "bytes": message.get("bytes", 0),
                "seconds": cast(float, message.get("seconds", 0.0)),
            }  # fmt: skip
        elif kind == "worker_started":
            live["workers_started"] = live.get("workers_started", 0) + 1
            _apply_rank(live, str(message.get("worker", "")), message)
        elif kind == "rank":
            _apply_rank(live, str(message.get("rank", "")), message)
        elif kind == "gang_restarted":
            live["gang_restarts"], live["ranks"] = live.get("gang_restarts", 0) + 1, {}

    def snapshot(self) -> LiveRun:
        """The state now, as JSON-able values."""
        self._update()
        stages = {name: cast(LiveStage, {**stage}) for name, stage in self.stages.items()}
        for stage in stages.values():
            if "ranks" in stage:
                stage["ranks"] = dict(stage["ranks"])
        return {
            "run": self.run, "state": self.state, "host": self.host, "pid": self.pid, "started": self.started,
            "updated": round(time.time(), 3), "order": list(stages), "stages": stages,
        }  # fmt: skip

    def _update(self) -> None:
        """Take over what the progress of the running step says."""
        progress, now = self._progress, time.monotonic()
        if progress is None:
            return
        live = self.stages[progress.stage]
        live["line"] = progress.line(now)
        live["seconds"] = round(now - self._began, 3)
        live["steps"] = {
            name: {"unit": step.unit, "done": step.done, "total": step.total, "rate": round(step.rate(now), 3)}
            for name, step in progress.steps.items()
        }  # fmt: skip
        live["tasks"] = {
            name: {"waiting": tasks.waiting, "running": tasks.running, "done": tasks.done, "retried": tasks.retried}
            for name, tasks in progress.tasks.items()
        }


def _apply_rank(live: LiveStage, name: str, message: ProgressMessage) -> None:
    """Ranks report by their number; a worker that takes tasks has another name and is only counted."""
    if name.isdigit():
        values = {key: value for key, value in message.items() if key in LiveRank.__annotations__}
        ranks = live.get("ranks", {})
        live["ranks"] = {**ranks, name: cast(LiveRank, {**ranks.get(name, {}), **values})}
