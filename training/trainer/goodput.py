"""Where the wall time of a training run goes: each moment since the run began the stage belongs to one kind.

    start_up     until the first step: the stage's process, Ray, imports, the model, reading a checkpoint
    data_wait    reading and preparing the rows of a step
    compute      steps, waiting for the other workers included
    validation   held-out loss
    checkpoint   what training waits for a checkpoint; at the end, checking and writing the model
    restart      what a loss costs: steps that are computed again, finding the loss, starting again
    ending       from the model to the end of the workers, with their Ray (stages/pretrain.py)
    publish      until the process of the stage has ended; `publish_seconds` of the journal, by the supervisor

The last two are not a worker's. Each kind is a time between two marks, none is what the others leave of the whole.
The loop says what begins; nothing waits for a GPU. The loss of a step is read on the host before the next one begins
(loop.one_step), so the device is idle by then, and times on the host are right for it too.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, TypedDict

from pipeline.core.files import read_json, write_json
from pipeline.core.messages import RankState
from pipeline.core.progress import Progress

TimeKind = Literal["start_up", "data_wait", "compute", "validation", "checkpoint", "restart"]
KINDS: tuple[TimeKind, ...] = ("start_up", "data_wait", "compute", "validation", "checkpoint", "restart")
REACHED = "reached.json"
EVERY_S = 1.0  # between two messages, and between two notes of how far training has come


class SavedSeconds(TypedDict):
    """What a checkpoint keeps: the seconds by kind of the run that began the stage at this Unix time."""

    started: float
    seconds: dict[str, float]


class Reached(TypedDict):
    """How far an attempt came: when its run began the stage, its last step, and the seconds of its start-up."""

    started: float
    step: int
    start_up: float


class RankReport:
    """Tells the supervisor how a rank is doing. `gpu_bytes` must not wait for the device."""

    def __init__(self, progress: Progress, rank: int, gpu_bytes: Callable[[], int] | None = None) -> None:
        self.progress, self.rank, self.gpu_bytes = progress, rank, gpu_bytes
        self.host = socket.gethostname()

    def started(self, device: str) -> None:
        """This rank has joined its gang."""
        self.progress.send(
            {"kind": "worker_started", "worker": str(self.rank), "host": self.host, "pid": os.getpid(),
             "device": device}
        )  # fmt: skip

    def tell(self, step: int, seconds: dict[str, float]) -> None:
        """The seconds by kind after `step` steps."""
        state: RankState = {"kind": "rank", "rank": self.rank, "host": self.host, "step": step, "seconds": seconds}
        if self.gpu_bytes is not None:
            state["gpu_bytes"] = self.gpu_bytes()
        self.progress.send(state)


class Goodput:
    """The seconds by kind of one worker. `started`: when the run began the stage; 0 counts from now.

    All attempts of a run have the same `started`. The clock of another host may differ from that of the stage: only
    start_up, restart and ending are wrong by that, and their sum is right.
    """

    def __init__(self, started: float = 0.0, *, folder: Path | None = None, report: RankReport | None = None) -> None:
        """`folder`: where worker 0 notes how far training has come, so that a later attempt knows what was lost.

        Behind a URL that is a folder of worker 0's host: an attempt whose worker 0 is elsewhere counts repeated steps
        as compute.
        """
        now = time.time()
        self.started, self.folder, self.report = started or now, folder, report
        self.seconds: dict[TimeKind, float] = dict.fromkeys(KINDS, 0.0)
        self.seconds["start_up"] = max(0.0, now - self.started)
        self._kind: TimeKind = "start_up"
        self._since, self._noted = time.monotonic(), 0.0
        self._lost_until = 0  # steps before this one were computed before, by an earlier attempt

    def begin(self, kind: TimeKind, *, step: int = -1) -> None:
        """What follows is of this kind; with `step`, unless the step (from 0) is computed again."""
        now = time.monotonic()
        self.seconds[self._kind] += now - self._since
        self._since, self._kind = now, "restart" if 0 <= step < self._lost_until else kind

    def totals(self) -> dict[str, float]:
        """Seconds by kind until now, in ms."""
        self.begin(self._kind)
        return {kind: round(seconds, 3) for kind, seconds in self.seconds.items()}

    def saved(self) -> SavedSeconds:
        """What the checkpoint that is being written has to keep."""
        return {"started": self.started, "seconds": self.totals()}

    def resume(self, saved: SavedSeconds | None) -> None:
        """Call it before the first step: go on counting after `saved` of the checkpoint, None if there is none.

        If this run saved it, all of its time that is in no kind was lost. The time of an earlier run is not counted
        here; what it lost is counted when its steps are computed again.
        """
        reached = self._reached()
        if saved is not None and saved["started"] == self.started:
            self._count_loss(saved["seconds"])
        elif reached is not None and reached["started"] == self.started:  # lost before its first checkpoint
            self._count_loss({"start_up": reached["start_up"]})
        elif reached is not None:
            self._lost_until = reached["step"]

    def repeat(self, until: int) -> None:
        """Steps before `until` are computed again from here on."""
        self._lost_until = max(self._lost_until, until)

    def _count_loss(self, known: Mapping[str, float]) -> None:
        """Go on from these seconds; the rest of the attempt until now was lost."""
        self.begin("restart")
        self.seconds = {kind: float(known.get(kind, 0.0)) for kind in KINDS}
        self.seconds["restart"] += max(0.0, time.time() - self.started - sum(self.seconds.values()))

    def finished(self, step: int, *, last: bool = False) -> None:
        """Note and tell, at most once a second and after the last step, that `step` steps are done."""
        now = time.monotonic()
        if now - self._noted < EVERY_S and not last:
            return
        self._noted = now
        if self.folder is not None:
            reached: Reached = {"started": self.started, "step": step, "start_up": self.seconds["start_up"]}
            self.folder.mkdir(parents=True, exist_ok=True)  # on a host where no stage has run
            write_json(self.folder / REACHED, reached)
        if self.report is not None:
            self.report.tell(step, self.totals())

    def _reached(self) -> Reached | None:
        path = self.folder / REACHED if self.folder is not None else None
        if path is None or not path.exists():
            return None
        value: Reached = read_json(path)
        return value


def process_started() -> float:
    """The Unix time at which this process was created, within 10 ms."""
    ticks = int(Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - age
