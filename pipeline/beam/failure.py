"""The first error of a step as plain values, so that it crosses processes and machines as JSON, and its sentence."""

from __future__ import annotations

import contextlib
import traceback
from dataclasses import dataclass
from typing import TypedDict

from pipeline.beam.task import JobStep
from pipeline.core.errors import BloomeryError, StageFailed
from pipeline.core.registry import load
from pipeline.core.shortage import Shortage, sentence, shortage_of


class FailureFields(TypedDict):
    """A Failure in JSON."""

    key: str
    error: str | None
    message: str
    shortage: Shortage | None
    trace: str


@dataclass(frozen=True)
class Failure:
    """`error`: the import string of the class, if it is one of ours. `message` is then all that a person needs."""

    key: str
    error: str | None
    message: str
    shortage: Shortage | None
    trace: str

    @classmethod
    def of(cls, key: str, error: Exception) -> Failure:
        trace = "".join(traceback.format_exception(error))
        if isinstance(error, BloomeryError):
            error_type = type(error)
            return cls(key, f"{error_type.__module__}:{error_type.__qualname__}", str(error), None, trace)
        message = f"{type(error).__name__}: {error}".rstrip(".: \n")
        return cls(key, None, message, shortage_of(error), trace)

    @classmethod
    def of_step(cls, step: JobStep, reason: str) -> Failure:
        """A failure that no exception of the work told: a StageFailed with a reason, a sentence or two."""
        message = f"{step.job.stage}: {step.name}: {reason}"
        return cls("", f"{StageFailed.__module__}:{StageFailed.__qualname__}", message, None, f"{message}\n")

    def to_dict(self) -> FailureFields:
        return FailureFields(
            key=self.key, error=self.error, message=self.message, shortage=self.shortage, trace=self.trace
        )

    @classmethod
    def from_dict(cls, value: FailureFields) -> Failure:
        return cls(**value)

    def exception(self, step: JobStep) -> BloomeryError:
        """The error to raise, of its own class if it is one of ours; its traceback goes to the job's log."""
        # the log may lie on the disk that is full
        with contextlib.suppress(OSError), step.job.log.open("a", encoding="utf-8") as log:
            log.write(self.trace)
        if self.error is not None:
            error: BloomeryError = load(self.error)(self.message)
            return error
        if self.shortage is not None:
            return shortage_error(step, self.shortage, f"{self.key}: ", self.message)
        return StageFailed(
            f"{step.job.stage}: {step.name}: {self.key}: {self.message}. The traceback is in {step.job.log.name}. "
            "Finished tasks are kept: the same command resumes."
        )


def shortage_error(step: JobStep, shortage: Shortage, location: str, message: str) -> StageFailed:
    """The sentence for a limit of the machine that was reached."""
    job = step.job
    problem = sentence(shortage, message, folder=job.folder, workers=job.workers)
    return StageFailed(f"{job.stage}: {step.name}: {location}{problem}")
