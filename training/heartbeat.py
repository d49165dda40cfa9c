"""Tell the launcher where this worker is, so that one that hangs is found in seconds and named.

    <file>         {"step": finished steps, "phase": word, "from": the step that it started at}; its age is that
                   of the last sign of training
    <file>.alive   {"silent_s": seconds since that sign, "busy_s": CPU seconds of the main thread since then}, once a
                   second: a worker that waits for the others is not busy, one in a loop without end is

Files are written in place (about 5 us): a reader may meet half of one and reads again.
"""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Literal

HEARTBEAT = "BLOOMERY_HEARTBEAT"  # the file, set by the launchers
ALIVE = ".alive"
ALIVE_EVERY_S = 1.0
SIZE_BYTES = 128
# `wait`: for the other workers, at a point that all of them reach in every step
Phase = Literal["start", "load", "data", "wait", "compute", "validate", "save"]


class Heartbeat:
    """The heartbeat of this process; silent where no launcher listens. Only the main thread of training beats."""

    def __init__(self) -> None:
        path = os.environ.get(HEARTBEAT)
        self._file = _open(path) if path else None
        self._alive = _open(path + ALIVE) if path else None
        self._first: int | None = None
        self._clock = 0
        self._since, self._busy = 0.0, 0.0

    def beat(self, phase: Phase, step: int = 0) -> None:
        """What begins now, after `step` finished steps."""
        if self._file is None:
            return
        if phase not in ("start", "load") and self._first is None:
            self._first = step
        # the object that says "start" is not that of the training
        starts = not self._clock and phase != "start"
        if starts:
            self._clock = time.pthread_getcpuclockid(threading.get_ident())
        self._since, self._busy = time.monotonic(), time.clock_gettime(self._clock) if self._clock else 0.0
        if starts:
            threading.Thread(target=self._live, name="heartbeat", daemon=True).start()
        _write(self._file, {"step": step, "phase": phase, "from": self._first or 0})

    def _live(self) -> None:
        assert self._alive is not None
        while True:
            silent, busy = time.monotonic() - self._since, time.clock_gettime(self._clock) - self._busy
            _write(self._alive, {"silent_s": round(silent, 2), "busy_s": round(busy, 2)})
            time.sleep(ALIVE_EVERY_S)


def _open(path: str) -> int:
    return os.open(path, os.O_CREAT | os.O_WRONLY, 0o644)


def _write(file: int, content: dict[str, int | float | str]) -> None:
    os.pwrite(file, json.dumps(content).ljust(SIZE_BYTES).encode(), 0)
