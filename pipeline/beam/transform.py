"""The two DoFns of ours: run a task, run a partition. They wire work to files and add nothing of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import apache_beam as beam

from pipeline.beam.guard import Guard
from pipeline.beam.task import Task, Work, partition_task, result_path, results_folder
from pipeline.core.files import write_json


class RunTask(beam.DoFn):  # type: ignore[misc]
    """number → nothing: `work(job, tasks[number])`, its result written by rename, progress told."""

    def __init__(self, guard: Guard, tasks: Sequence[Task], work: Work) -> None:
        self.guard, self.tasks, self.work = guard, tasks, work

    def process(self, number: int) -> Iterable[None]:
        run_one(self.guard, self.tasks[number], self.work)
        return ()


class RunPartition(beam.DoFn):  # type: ignore[misc]
    """(partition, its pieces) → nothing: `work(job, partition)`, its result written by rename."""

    def __init__(self, guard: Guard, work: Work) -> None:
        self.guard, self.work = guard, work

    def process(self, group: tuple[int, Iterable[tuple[str, int, int]]]) -> Iterator[None]:
        run_one(self.guard, partition_task(group[0], group[1]), self.work)
        return iter(())


def run_one(guard: Guard, task: Task, work: Work) -> None:
    """One task under its step's guard."""
    with guard.task(task.key):
        result = work(guard.job, task)
        write_json(result_path(results_folder(guard.job, guard.step), task.key), result)
    guard.job.progress.add(guard.step, task.size)
