"""The one DoFn of ours: run a task. It wires work to files and adds nothing of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import apache_beam as beam

from pipeline.beam.control import StepControl
from pipeline.beam.executor import run_task
from pipeline.beam.task import Task, Work


class RunTask(beam.DoFn):  # type: ignore[misc]
    """number → nothing: `work(job, tasks[number])`, its result written by rename, progress reported."""

    def __init__(self, control: StepControl, tasks: Sequence[Task[Any]], work: Work[Any, Any]) -> None:
        self.control, self.tasks, self.work = control, tasks, work

    def process(self, number: int) -> Iterable[None]:
        task = self.tasks[number]
        with self.control.task(task.key):
            run_task(self.control.step, task, self.work)
        return ()
