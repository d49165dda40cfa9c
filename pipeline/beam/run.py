"""The one way data stages use Beam: tasks in, results out, in order; a finished task is never done again.

`run_tasks` gives every task to `work(job, task)` on Beam's embedded FnApiRunner, `job.workers` wide. Only the numbers
of tasks cross Beam: documents stay in files. A result is a small JSON file that appears by rename: that is the resume.
Cost: 0.9 s to import Beam, 2 s more to start worker processes, 32 us a task; nothing when every result is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


def run_tasks(
    job: Job, step: str, tasks: Sequence[Task], work: Work, *, isolation: Isolation = "threads"
) -> list[dict[str, Any]]:
    """Run `work(job, task)` for every task that has no result yet; the results come back in the order of `tasks`.

    Raises: the error of the first task that failed (ours as it is, any other as StageFailed), at once; StageFailed
    when a worker died or when a task ended without a result.
    """
    folder = results_folder(job, step)
    check_keys(job, step, [task.key for task in tasks])
    waiting = [number for number, task in enumerate(tasks) if not result_path(folder, task.key).exists()]
    job.progress.total(step, sum(task.size for task in tasks), "bytes")
    job.progress.add(step, sum(task.size for task in tasks) - sum(tasks[number].size for number in waiting))
    if waiting:
        from pipeline.beam.runner import run_pipeline

        # Beam deals elements out one by one, worker after worker: by falling size the shares come out even
        order = sorted(waiting, key=lambda number: (-tasks[number].size, number))
        run_pipeline(job, step, _TaskSteps(tasks, order, work), isolation=isolation)
    return read_results(job, step, [task.key for task in tasks])


class _TaskSteps:
    """Wires Create(numbers) | ParDo(work); a class so that Beam is imported only when there is work."""

    def __init__(self, tasks: Sequence[Task], order: Sequence[int], work: Work) -> None:
        self.tasks, self.order, self.work = tuple(tasks), list(order), work

    def __call__(self, pipeline: Any, guard: Any) -> None:
        import apache_beam as beam

        from pipeline.beam.transform import RunTask

        numbers = pipeline | "Numbers" >> beam.Create(self.order)
        _ = numbers | "Work" >> beam.ParDo(RunTask(guard, self.tasks, self.work))


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
