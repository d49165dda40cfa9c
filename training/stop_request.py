"""SIGTERM asks a worker to end: all workers save after the step in hand and end together.

A worker notes the signal; the workers learn of it through a collective call that every step makes anyway
(trainer/loop.py, vectors/shared_tables.py), so that all of them end after the same step.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pipeline.core.errors import Preempted


class StopRequest:
    """Whether this process was asked to end."""

    def __init__(self) -> None:
        self.requested = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note SIGTERM within the block. Only the main thread of a process can; elsewhere nothing is noted."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, self._note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True


def preempted(stage: str, step: int) -> Preempted:
    """The error of a worker that has saved after `step` steps and ends."""
    return Preempted(f"{stage}: asked to end; saved after step {step:,}. The same command continues from there.")
