"""The one way data stages use Beam: tasks in, results out, in order; a finished task is never done again.

`run_tasks` gives every task to `work(job, task)` on Beam's embedded FnApiRunner, `job.workers` wide. Only the numbers
of tasks cross Beam: documents stay in files. A result is a small JSON file that appears by rename: that is the resume.
Cost: 0.9 s to import Beam, 2 s more to start worker processes, 32 us a task; nothing when every result is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic

from pipeline.beam.task import (
    Isolation,
    Payload,
    Result,
    Task,
    Work,
    check_keys,
    read_results,
    result_path,
    results_folder,
)
from pipeline.core.stage import Job


def run_tasks(
    job: Job, step: str, tasks: Sequence[Task[Payload]], work: Work[Payload, Result], *,
    isolation: Isolation = "threads",
) -> list[Result]:  # fmt: skip
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
    return read_results(job, step, tasks, work)


class _TaskSteps(Generic[Payload, Result]):
    """Wires Create(numbers) | ParDo(work); a class so that Beam is imported only when there is work."""

    def __init__(self, tasks: Sequence[Task[Payload]], order: Sequence[int], work: Work[Payload, Result]) -> None:
        self.tasks, self.order, self.work = tuple(tasks), list(order), work

    def __call__(self, pipeline: Any, guard: Any) -> None:
        import apache_beam as beam

        from pipeline.beam.transform import RunTask

        numbers = pipeline | "Numbers" >> beam.Create(self.order)
        _ = numbers | "Work" >> beam.ParDo(RunTask(guard, self.tasks, self.work))
