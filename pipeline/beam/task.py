"""What crosses from a stage to Beam and back: a task, and the small file that its result is.

A result appears by rename, so a task whose result is there is not done again: that is the resume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.core.errors import StageFailed
from pipeline.core.files import read_json
from pipeline.core.stage import Job

Isolation = Literal["threads", "processes"]
"""threads: in one process, for work that releases the GIL (Arrow, Polars, numba, hashing); no start-up, but a native
crash ends the stage. processes: workers of our own, for Python-bound work and for parsers that may crash."""


@dataclass(frozen=True)
class Task:
    """One piece of a step. `key` is file-name safe and unique in its step, `size` in bytes, `payload` JSON-able."""

    key: str
    size: int
    payload: dict[str, Any]


Work = Callable[[Job, Task], dict[str, Any]]
"""A module-level function (it travels by name). Its files appear by rename before it returns its JSON-able result."""


def partition_task(number: int, found: Iterable[tuple[str, int, int]]) -> Task:
    """A partition as a task: its pieces in an order that arrival cannot change."""
    ordered = sorted((file.encode(), offset, length) for file, offset, length in found)
    references = [[file.decode(), offset, length] for file, offset, length in ordered]
    size = sum(length for _, _, length in ordered)
    return Task(f"partition-{number:06d}", size, {"partition": number, "pieces": references})


def results_folder(job: Job, step: str) -> Path:
    """Where the results of a step lie; it is made here, so that no worker has to."""
    folder = job.folder / "tasks" / step
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def result_path(folder: Path, key: str) -> Path:
    return folder / f"{key}.json"


def check_keys(job: Job, step: str, keys: Sequence[str]) -> None:
    """Keys name files, so they must differ and hold nothing but letters, digits, `.`, `_` and `-`."""
    wrong = [key for key in keys if not key or not all(sign.isalnum() or sign in "._-" for sign in key)]
    if wrong or len(set(keys)) != len(keys):
        found = f"{wrong[0]!r} is no file name" if wrong else "two tasks bear one key"
        raise StageFailed(f"{job.stage}: {step}: {found}. Please report this.")


def read_results(job: Job, step: str, keys: Sequence[str]) -> list[dict[str, Any]]:
    """The results of a step, in the order of `keys`.

    Raises: StageFailed when one is missing: a runner that loses an element in silence is found here.
    """
    folder = results_folder(job, step)
    missing = [key for key in keys if not result_path(folder, key).exists()]
    if missing:
        raise StageFailed(
            f"{job.stage}: {step}: {len(missing):,} of {len(keys):,} tasks left no result (first: {missing[0]});"
            " run the same command again: what is finished is kept."
        )
    return [read_json(result_path(folder, key)) for key in keys]
