"""Everything that ties the tasks of a step to this host: files in /tmp and core counts.

An executor on other machines brings its own of these and nothing else: a Channel, the end of workers with their driver,
how many threads each may start; and for progress a transport (`pipeline.core.progress`).
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.beam.failure import Failure


@dataclass(frozen=True)
class FolderChannel:
    """A `Channel` through a folder that all workers of the step see, on a disk with hard links."""

    folder: Path

    def record(self, failure: Failure) -> None:
        beside = self.folder / f"failure-{os.getpid()}-{threading.get_ident()}"
        beside.write_text(json.dumps(failure.to_dict()), encoding="utf-8")
        # a link fails where the name is taken: the first failure stands
        with contextlib.suppress(FileExistsError):
            self._failure.hardlink_to(beside)

    def first(self) -> Failure | None:
        try:
            return Failure.from_dict(json.loads(self._failure.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError):
            return None

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._failure.touch()

    def stopped(self) -> bool:
        return self._failure.exists()

    def begin(self, worker: str, key: str) -> None:
        # only for a message, should the worker die
        with contextlib.suppress(OSError):
            (self.folder / f"task-{worker}").write_text(key, encoding="utf-8")

    def task_of(self, worker: str) -> str | None:
        try:
            return (self.folder / f"task-{worker}").read_text(encoding="utf-8")
        except OSError:
            return None

    @property
    def _failure(self) -> Path:
        return self.folder / "failure.json"


@contextlib.contextmanager
def folder_channel() -> Iterator[FolderChannel]:
    """A channel for one step, gone with it."""
    with tempfile.TemporaryDirectory(prefix="bloomery-") as folder:
        yield FolderChannel(Path(folder))


def threads_per_worker(workers: int) -> int:
    """Threads that libraries of one worker may start, so that workers × threads = cores."""
    return max(1, len(os.sched_getaffinity(0)) // max(1, workers))
