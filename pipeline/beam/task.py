"""What crosses from a stage to an executor and back: a task, and its result.

A result is kept in the draft, and a task whose result is there is not done again: that is the resume.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, cast

from typing_extensions import TypeVar

from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject
from pipeline.core.job import Job

Isolation = Literal["threads", "processes"]
"""threads: in one process, for work that releases the GIL (Arrow, Polars, numba, hashing); no start-up, but a native
crash ends the stage. processes: workers of our own, for Python-bound work and for parsers that may crash."""

Payload = TypeVar("Payload", bound=Mapping[str, object], default=JsonObject)
Result = TypeVar("Result", bound=Mapping[str, object], default=JsonObject)


@dataclass(frozen=True)
class Task(Generic[Payload]):
    """One unit of work of a step. `key` is file-name safe and unique in its step, `size` in bytes; the payload, a
    TypedDict of the stage's own, is JSON-able."""

    key: str
    size: int
    payload: Payload

    def to_dict(self) -> JsonObject:
        return {"key": self.key, "size": self.size, "payload": self.payload}


Work = Callable[[Job, Task[Payload]], Result]
"""A module-level function (it travels by name). It writes files under job.folder, by rename and in its own thread, and
then returns its JSON-able result. It reads the files of other tasks through job.draft."""


@dataclass(frozen=True)
class JobStep:
    """A named step of a job: the tasks that `run_tasks` was given at once."""

    job: Job
    name: str


def check_keys(job: Job, step: str, keys: Sequence[str]) -> None:
    """Keys name files, so they must differ and hold nothing but letters, digits, `.`, `_` and `-`."""
    wrong = [key for key in keys if not key or not all(sign.isalnum() or sign in "._-" for sign in key)]
    if wrong or len(set(keys)) != len(keys):
        problem = f"{wrong[0]!r} is not a file name" if wrong else "two tasks have the same key"
        raise StageFailed(f"{job.stage}: {step}: {problem}. Please report this.")


def read_results(job: Job, step: str, tasks: Sequence[Task[Payload]], work: Work[Payload, Result]) -> list[Result]:
    """The results of `work` for a step, in the order of `tasks`.

    Raises: StageFailed when one is missing: a runner that loses an element in silence is found here.
    """
    results = job.draft.results(step)
    missing = [task.key for task in tasks if task.key not in results]
    if missing:
        raise StageFailed(
            f"{job.stage}: {step}: {len(missing):,} of {len(tasks):,} tasks left no result (first: {missing[0]})."
            " Run the same command again: finished tasks are kept."
        )
    return [cast(Result, results[task.key]) for task in tasks]
