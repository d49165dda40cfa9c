"""The one DoFn of ours: run a task. It wires work to files and adds nothing of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import apache_beam as beam

from pipeline.beam.guard import Guard
from pipeline.beam.task import Task, Work, result_path, results_folder
from pipeline.core.files import write_json


class RunTask(beam.DoFn):  # type: ignore[misc]
    """number → nothing: `work(job, tasks[number])`, its result written by rename, progress reported."""

    def __init__(self, guard: Guard, tasks: Sequence[Task[Any]], work: Work[Any, Mapping[str, Any]]) -> None:
        self.guard, self.tasks, self.work = guard, tasks, work

    def process(self, number: int) -> Iterable[None]:
        guard, task = self.guard, self.tasks[number]
        with guard.task(task.key):
            result = self.work(guard.job, task)
            write_json(result_path(results_folder(guard.job, guard.step), task.key), result)
        guard.job.progress.add(guard.step, task.size)
        return ()
