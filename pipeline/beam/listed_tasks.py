"""The DoFn of a portable runner: do the task of a number, out of a list in the draft."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam

from pipeline.beam.executor import do_task
from pipeline.beam.failure import Failure
from pipeline.beam.task import JobStep, Task, Work
from pipeline.beam.task_client import failure_of, host_problem
from pipeline.beam.versions import versions, versions_differ
from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject, read_json
from pipeline.core.job import Job
from pipeline.core.registry import add_plugin_folder, load

LOOK_S = 2.0  # between two looks for a failure of another worker


def numbers_of(ends: tuple[int, int]) -> Iterable[int]:
    """The task numbers of a range."""
    return range(*ends)


class RunListed(beam.DoFn):  # type: ignore[misc]
    """number → nothing: the task of that number in the listing, its result kept in the draft, or its failure."""

    def __init__(self, order: JsonObject) -> None:
        self.order = order

    def setup(self) -> None:
        for folder in self.order["plugins"]:  # searched last, so they cannot hide our packages
            add_plugin_folder(Path(folder))
        self.step = JobStep(Job.from_dict(self.order["job"]), self.order["step"])
        self.looked, self.failed = 0.0, False
        if problem := host_problem(self.step):
            raise StageFailed(problem)  # where it could be recorded, the driver would not see it
        if difference := versions_differ(self.order["versions"], versions(), socket.gethostname()):
            self._keep(Failure.of_step(self.step, difference))
        else:
            work: Work[Any, Any] = load(self.order["work"])
            self.work = work
            listing = read_json(self.step.job.draft.file(self.order["listing"]))
            self.tasks: list[Task[Any]] = [Task(**fields) for fields in listing]

    def process(self, number: int) -> Iterable[None]:
        if self._has_failed():
            return ()
        task = self.tasks[number]
        if task.key in self.step.job.draft.results(self.step.name):
            return ()  # the engine repeats a bundle of which this task was done
        try:
            do_task(self.step, task, self.work)
        except Exception as error:
            self._keep(failure_of(task, error))
        return ()

    def _has_failed(self) -> bool:
        """Whether any worker has recorded a failure, which is looked for now and then."""
        if not self.failed and time.monotonic() - self.looked > LOOK_S:
            self.failed = len(self.step.job.draft.results(self.order["failures"])) > 0
            self.looked = time.monotonic()
        return self.failed

    def _keep(self, failure: Failure) -> None:
        self.step.job.draft.keep(self.order["failures"], "failure", {**failure.to_dict()}, [])
        self.failed = True
