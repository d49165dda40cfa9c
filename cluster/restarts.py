"""Whether a stage starts again by itself after one of its processes died: a pure decision, without processes or clocks.

Started again is what need not happen again: a process that was killed (by the kernel, which lacked memory, or by
anybody else) or that crashed in native code. What the stage had finished is kept, so the next attempt goes on from it.
An error that a stage raised, a lack of disk, and what was asked for (an interrupt) end the run.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cluster.progress import StageProgress
from pipeline.core import figures
from pipeline.core.errors import ProcessDied, StageFailed
from pipeline.core.journal import StageRestart

SHOWN = 3  # tasks in a message
TWICE = "twice in a row while working on"


@dataclass(frozen=True)
class _Place:
    """How far a stage was when its process died. `tasks`: those that it was working on, as far as they are known."""

    step: str
    tasks: frozenset[str]
    finished: int

    def __str__(self) -> str:
        names = sorted(self.tasks)
        listed = ", ".join(names[:SHOWN]) + (", …" if names[SHOWN:] else "")
        return f"{'task' if len(names) == 1 else 'tasks'} {listed} of {self.step}"


@dataclass
class Restarts:
    """Those of one step in one run; at most `most`."""

    stage: str
    most: int
    done: list[StageRestart] = field(default_factory=list)
    _last: _Place | None = None

    def add(self, died: ProcessDied, progress: StageProgress, *, attempt: int, seconds: float) -> StageRestart:
        """Note that an attempt died `seconds` after its start, and that another follows.

        Raises: StageFailed when it died too often, or twice at the same task with none finished in between.
        """
        place, last = _place(died, progress), self._last
        self._last = place
        if not self.most:
            raise died
        same = place.tasks & last.tasks if last is not None and last.step == place.step else frozenset()
        if last is not None and same and place.finished <= last.finished:
            at = _Place(place.step, same, place.finished)
            raise StageFailed(
                f"{self.stage}: its process died {TWICE} {at}, and no task was finished in between. "
                f"{str(died).removeprefix(f'{self.stage}: ')}"
            )
        if len(self.done) >= self.most:
            times = figures.plural(len(self.done), "restart")
            raise StageFailed(f"{died} It died again after {times} (cluster.max_failures: {self.most}).")
        what = f"{died.what} while working on {place}" if place.tasks else died.what
        restart: StageRestart = {"attempt": attempt, "what": what, "seconds": round(seconds, 3)}
        self.done.append(restart)
        return restart


def _place(died: ProcessDied, progress: StageProgress) -> _Place:
    tasks = progress.tasks.get(progress.step)
    if tasks is None:
        return _Place(progress.step, frozenset(), 0)
    return _Place(progress.step, frozenset({died.task} if died.task else tasks.begun), tasks.done)
