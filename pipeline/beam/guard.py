"""What a step's workers share: the first error, word for word, and the sign to stop.

Beam turns an error of a worker into 70 lines without its class, and lets the other workers finish their shares first.
So the first error goes to a file of the step's control folder: workers look for it before each task, and the driver
raises it again as what it was. Works alike for threads and processes; cost: one `stat` a task.
"""

from __future__ import annotations

import contextlib
import json
import os
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import BloomeryError, StageFailed
from pipeline.core.registry import load
from pipeline.core.stage import Job

FAILED = 73  # the exit code of a worker process whose work raised; the error itself is in the control folder


class Stopped(Exception):
    """Another task of this step failed; this worker ends its share early. Never shown: the first error is."""


@dataclass(frozen=True)
class Guard:
    """Given to every worker of a step. `exits`: the worker is a process of its own and ends it on an error."""

    job: Job
    step: str
    control: Path
    exits: bool

    @contextlib.contextmanager
    def task(self, key: str) -> Iterator[None]:
        """Around one task: refuse when the step has failed, note what is being done, record the first error."""
        if self._error_file.exists():
            raise Stopped(self.step)
        if self.exits:
            self._doing(os.getpid()).write_text(key, encoding="utf-8")
        try:
            yield
        except Exception as error:
            self._record(key, error)
            if self.exits:
                os._exit(FAILED)
            raise

    def stop(self) -> None:
        """Let the workers end before their next task (the driver was interrupted)."""
        with contextlib.suppress(OSError):
            self._error_file.touch()

    def first_error(self) -> BloomeryError | None:
        """The recorded error, of its own class if it is one of ours; its traceback goes to the job's log."""
        try:
            found = json.loads(self._error_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        with self.job.log.open("a", encoding="utf-8") as log:
            log.write(found["trace"])
        kind = load(found["class"]) if found["ours"] else StageFailed
        message = found["message"] if found["ours"] else self._sentence(found["key"], found["message"])
        error: BloomeryError = kind(message)
        return error

    def doing(self, pid: int) -> str:
        """The task that a worker process was at, as words for a message."""
        try:
            return f" while working on {self._doing(pid).read_text(encoding='utf-8')}"
        except OSError:
            return ""

    def _sentence(self, key: str, message: str) -> str:
        return (
            f"{self.job.stage}: {self.step}: {key}: {message}. The whole traceback is in {self.job.log.name};"
            " finished tasks are kept, so the same command goes on from here."
        )

    def _record(self, key: str, error: Exception) -> None:
        kind, ours = type(error), isinstance(error, BloomeryError)
        message = str(error) if ours else f"{kind.__name__}: {error}".rstrip(".: \n")
        found = {
            "key": key, "ours": ours, "class": f"{kind.__module__}:{kind.__qualname__}", "message": message,
            "trace": "".join(traceback.format_exception(error)),
        }  # fmt: skip
        beside = self.control / f"error-{os.getpid()}-{id(error)}"
        beside.write_text(json.dumps(found, ensure_ascii=True), encoding="utf-8")
        # a link fails where the name is taken: the first error stands
        with contextlib.suppress(FileExistsError):
            self._error_file.hardlink_to(beside)

    @property
    def _error_file(self) -> Path:
        return self.control / "error.json"

    def _doing(self, pid: int) -> Path:
        return self.control / f"doing-{pid}"
