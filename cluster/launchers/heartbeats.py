"""Find a worker that hangs from the heartbeats of a gang: pure decisions, on times that the caller gives.

A worker says where it is: {"step": finished steps, "phase": word, "from": the step that it started at}. When one
hangs, the others soon wait for it. So a gang hangs when no worker has said anything new for long. The one to name is a
process that is stopped; else one that does not wait for the others; of several the furthest behind, then the busiest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster.launchers.host import Beat

# phases that may take long without a sign: reading code, a checkpoint or the whole held-out text
SLOW_PHASES = frozenset({"start", "load", "save", "validate"})
SLOW_LIMIT_S = 600.0
LEAST_LIMIT_S = 20.0
STOPPED_S = 5.0
STEPS = 10.0  # of the longest so far, before a step counts as hanging
WAITING = "wait"


@dataclass
class Heartbeats:
    """What each worker said last, and when it was first heard."""

    step: dict[int, int] = field(default_factory=dict)
    phase: dict[int, str] = field(default_factory=dict)
    heard: dict[int, float] = field(default_factory=dict)  # seconds of the caller's clock
    last: dict[int, Beat] = field(default_factory=dict)
    started: dict[int, float] = field(default_factory=dict)  # when each finished the step before
    longest_step_s: float = 0.0
    first_step: int | None = None  # of the checkpoint

    def update(self, beats: Mapping[int, Beat], now: float) -> None:
        """Take over the beats of a report."""
        for rank, beat in beats.items():
            self.heard[rank] = max(self.heard.get(rank, 0.0), now - beat["age_s"])
            before, self.phase[rank], self.last[rank] = self.step.get(rank), beat["phase"], beat
            if beat["phase"] in ("start", "load"):
                continue
            if self.first_step is None:
                self.first_step = beat["from_step"]
            if before is not None and beat["step"] > before:
                self.longest_step_s = max(self.longest_step_s, (now - self.started[rank]) / (beat["step"] - before))
            if before is None or beat["step"] > before:
                self.step[rank], self.started[rank] = beat["step"], now

    @property
    def last_step(self) -> int | None:
        """The last step that any worker has finished."""
        return max(self.step.values(), default=None)

    @property
    def has_made_a_step(self) -> bool:
        """Whether this start of the gang has finished a step."""
        return self.first_step is not None and (self.last_step or 0) > self.first_step

    def hanging(self, now: float, world: int) -> tuple[int, float] | None:
        """The rank that hangs, and for how long there has been no sign; None if none does."""
        if len(self.heard) < world:  # a worker has not spoken yet: it may be importing, or says nothing ever
            return None
        silence = now - max(self.heard.values())
        stopped = [rank for rank, beat in self.last.items() if beat["stopped_s"] > STOPPED_S]
        suspects = stopped or [rank for rank in self.heard if self.phase[rank] != WAITING] or list(self.heard)
        # the first step compiles kernels or graphs, and connects devices; an interrupted one loses no work
        is_slow = not self.has_made_a_step or any(self.phase[rank] in SLOW_PHASES for rank in suspects)
        limit = SLOW_LIMIT_S if is_slow and not stopped else max(LEAST_LIMIT_S, STEPS * self.longest_step_s)
        if silence <= limit:
            return None
        return min(suspects, key=lambda rank: (self.step.get(rank, -1), -self.last[rank]["busy_s"], rank)), silence
