"""The messages that a stage sends to the supervisor with `job.progress.send`, one type for each kind.

Messages inform people and decide nothing: a lost one changes no result. The kinds in `FREQUENT` update the console and
the metrics; all others are also a line of events.jsonl, with the same fields (cluster/README.md). `worker` is a rank of
a gang ("3"), or any other name that is unique among the workers of a stage; `host` is a host name.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

FREQUENT = frozenset({"total", "add", "train", "queue", "task_started", "rank"})


class Total(TypedDict):
    """How much work a step has, in how many tasks; sent again, the step starts from nothing."""

    kind: Literal["total"]
    step: str
    total: float
    unit: str
    tasks: NotRequired[int]


class Add(TypedDict):
    """`n` more units of a step are done, and with them so many `tasks`."""

    kind: Literal["add"]
    step: str
    n: float
    tasks: NotRequired[int]
    task: NotRequired[str]  # the key of the one


class Note(TypedDict):
    """A line for people."""

    kind: Literal["note"]
    step: str
    text: str


class TaskStarted(TypedDict):
    """A worker begins a task; when it is done, an "add" says so."""

    kind: Literal["task_started"]
    step: str
    task: NotRequired[str]  # its key


class Queue(TypedDict):
    """Tasks of a step by state, from a queue that knows all of them; at most a few times a second."""

    kind: Literal["queue"]
    step: str
    waiting: int
    running: int
    done: int


class TaskRetried(TypedDict):
    """A task is given out again because its worker was lost. `attempt`: the one that begins, from 2."""

    kind: Literal["task_retried"]
    step: str
    task: str
    attempt: int
    worker: str  # the one that had it
    cause: str


class WorkerStarted(TypedDict):
    """A worker is ready: a rank of a gang, or one that takes tasks. `device`: "cpu" or the name of its GPU."""

    kind: Literal["worker_started"]
    worker: str
    host: str
    pid: int
    device: str


class WorkerLost(TypedDict):
    """A worker ended before its work did, or does not answer. `host` is empty where it is not known."""

    kind: Literal["worker_lost"]
    worker: str
    host: str
    cause: str


class GangRestarted(TypedDict):
    """A gang starts again after a loss. `attempt`: the one that begins, from 2; `workers`: its number of ranks."""

    kind: Literal["gang_restarted"]
    attempt: int
    workers: int
    cause: str


class GangRecovered(TypedDict):
    """A gang that was started again makes steps again, `seconds` after the loss or the last sign of life.

    `step`: the last step that was finished before; `from_step`: the step of the checkpoint that it went on from; both
    absent if its workers report no steps.
    """

    kind: Literal["gang_recovered"]
    attempt: int
    workers: int
    cause: str
    seconds: float
    step: NotRequired[int]
    from_step: NotRequired[int]


class CheckpointSaved(TypedDict):
    """A checkpoint is complete: a run that fails now resumes after `step`. `seconds`: what training waited for it."""

    kind: Literal["checkpoint_saved"]
    step: int
    bytes: int
    seconds: float


class Validated(TypedDict):
    """The held-out loss after a training step, in nats per token."""

    kind: Literal["validate"]
    step: int
    loss: float


class AnomalyFound(TypedDict):
    """A batch of training stands out; `training_rows` are those of its rows that do (order.py: TrainingAnomaly).

    `value` and `usual` are absent where they are not finite or not known; `cause` is the kind.
    """

    kind: Literal["anomaly"]
    step: int
    cause: str
    quantity: str
    value: NotRequired[float]
    usual: NotRequired[float]
    action: str
    first: int
    training_rows: list[int]


class RankState(TypedDict):
    """How a rank of a gang is doing, about once a second.

    `seconds`: what it has done since its gang started, by kind (training/trainer/goodput.py).
    """

    kind: Literal["rank"]
    rank: int
    host: str
    step: int
    seconds: dict[str, float]
    gpu_bytes: NotRequired[int]  # allocated on its GPU; absent on a CPU


Message = (
    Total | Add | Note | TaskStarted | Queue | TaskRetried | WorkerStarted | WorkerLost | GangRestarted | GangRecovered
    | CheckpointSaved | Validated | AnomalyFound | RankState
)  # fmt: skip
