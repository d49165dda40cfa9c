"""What the tasks of a step share with the driver: the first error, unchanged, and the signal to stop.

Beam turns an error of a worker into 70 lines without its class, and lets the other workers finish their tasks first.
So the first error goes through a channel of the step: workers check it before each task, and the driver raises the
original error. Works alike for threads and processes; cost on one host: one `stat` a task.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from pipeline.beam.failure import Failure
from pipeline.beam.task import JobStep
from pipeline.core.shortage import Shortage

# exit codes of a worker process whose work raised; the error itself went through the channel, if that could be written
FAILED, NO_DISK, NO_MEMORY = 73, 74, 75
EXIT_CODES: dict[Shortage | None, int] = {None: FAILED, "disk": NO_DISK, "memory": NO_MEMORY}


class Stopped(Exception):
    """Another task of this step failed; this worker ends its share early. Never shown: the first error is."""


class Channel(Protocol):
    """How workers and driver of a step tell each other of errors, wherever the workers are."""

    def record(self, failure: Failure) -> None:
        """Keep a failure, unless there is one already."""

    def first(self) -> Failure | None:
        """The failure that was recorded first."""

    def stop(self) -> None:
        """Let the workers end before their next task."""

    def stopped(self) -> bool:
        """Whether a failure was recorded or the driver was interrupted."""

    def begin(self, worker: str, key: str) -> None:
        """Note which task a worker is at."""

    def task_of(self, worker: str) -> str | None:
        """The task that a worker was at."""


@dataclass(frozen=True)
class StepControl:
    """Given to every worker of a step. `exits`: the worker is a process of its own and ends it on an error."""

    step: JobStep
    channel: Channel
    exits: bool

    @contextlib.contextmanager
    def task(self, key: str) -> Iterator[None]:
        """Around one task: refuse when the step has failed, note what is being done, record the first error."""
        if self.channel.stopped():
            raise Stopped(self.step.name)
        try:
            if self.exits:
                self.channel.begin(str(os.getpid()), key)
            yield
        except Exception as error:
            failure = Failure.of(key, error)
            # a disk that is full takes no record either: the exit code, or Beam's text, then says which shortage
            with contextlib.suppress(OSError):
                self.channel.record(failure)
            if self.exits:
                os._exit(EXIT_CODES[failure.shortage])
            raise
