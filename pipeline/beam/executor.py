"""Executors run the tasks of a step: threads or processes of this host, or any other with the same results and errors.

An executor is given tasks that have no result, in the order in which they should start. It calls `run_task` for each,
where and when it likes, and returns when all have a result. When one fails it stops soon and raises
`Failure.exception`. Jobs, tasks and failures are JSON-able and work is a module-level function, so all of it crosses to
another process or machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pipeline.beam.task import Isolation, JobStep, Payload, Result, Task, Work
from pipeline.core.cache import scope
from pipeline.core.draft import relative_to
from pipeline.core.files import recording
from pipeline.core.job import Job
from pipeline.core.registry import Entry, Registry
from pipeline.kernels.first_use import reporting

EXECUTORS: Registry[Executor] = Registry(
    "executor",
    (
        Entry("threads", code="pipeline.beam.runner:Threads"),
        Entry("processes", code="pipeline.beam.runner:Processes"),
        Entry("ray", code="pipeline.beam.remote_workers:RemoteWorkers"),
        *(Entry(name, code="pipeline.beam.portable:Portable") for name in ("portable", "flink", "spark", "dataflow")),
    ),
)


class Executor(Protocol):
    """Runs the tasks of a step."""

    def run(self, step: JobStep, tasks: Sequence[Task[Payload]], work: Work[Payload, Result]) -> None:
        """Leave a result for every task.

        Raises: the error of the first task that failed, ours as it is, any other as StageFailed; StageFailed when a
        worker died.
        """


def executor_of(job: Job, isolation: Isolation) -> Executor:
    """The executor of a step: what its isolation asks for on this host, and the configured runner elsewhere.

    A worker elsewhere is a process of its own whatever the isolation.
    """
    runner = job.cluster.beam.runner
    return EXECUTORS.load(isolation if runner == "embedded" else runner)()


def run_task(step: JobStep, task: Task[Payload], work: Work[Payload, Result]) -> None:
    """Do one task, then report its progress."""
    step.job.progress.send({"kind": "task_started", "step": step.name, "task": task.key})
    do_task(step, task, work)
    step.job.progress.add(step.name, task.size, tasks=1, task=task.key)


def do_task(step: JobStep, task: Task[Payload], work: Work[Payload, Result]) -> None:
    """Do one task and keep its files, then its result. A kernel that is compiled meanwhile is a note of the step."""
    with scope(), reporting(lambda text: step.job.progress.note(step.name, text)):
        with recording() as written:
            result = work(step.job, task)
        step.job.draft.keep(step.name, task.key, dict(result), relative_to(step.job.folder, written))
