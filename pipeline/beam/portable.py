"""The executor on any portable runner of Beam (job server, Flink, Spark, Dataflow): the tasks of a step as a pipeline.

    Impulse → ranges of task numbers → Reshuffle → ParDo(RunListed)

The engine places, balances and repeats; all that crosses it is numbers. The list of tasks is a file of the draft, which
workers read once, and results and errors go to the draft, so nothing has to reach the driver's machine. The first error
is recorded there and the tasks that are left return at once: no engine repeats an error that would come again.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.beam.beam_log import quiet
from pipeline.beam.failure import Failure
from pipeline.beam.portable_options import pipeline_options
from pipeline.beam.task import JobStep, Payload, Result, Task, Work
from pipeline.beam.versions import versions
from pipeline.core.draft import sharing
from pipeline.core.errors import BloomeryError, StageFailed
from pipeline.core.files import JsonObject, write_json
from pipeline.core.registry import plugin_folders

if TYPE_CHECKING:
    from apache_beam.runners.runner import PipelineResult

RANGE = 256  # task numbers in an element of the first transform
POLL_S = 5.0
LINGER_S = 60.0  # a job may need so long to end after its last task
SILENT_S = 300.0  # without a finished task, before people are told
POLL_SHARE = 50  # a look for finished tasks may take one part in so many of the time


class Portable:
    """An `Executor`: the runner that `cluster.beam` names, with its options."""

    def run(self, step: JobStep, tasks: Sequence[Task[Payload]], work: Work[Payload, Result]) -> None:
        failures = f"{step.name}-failed-{secrets.token_hex(4)}"
        step.job.draft.results(failures)  # makes its folder, where there is one
        listing = f"listings/{step.name}.json"
        (step.job.folder / listing).parent.mkdir(parents=True, exist_ok=True)
        with sharing(step.job.draft, step.job.folder, f"{step.name}-listing"):
            write_json(step.job.folder / listing, [task.to_dict() for task in tasks])
        order: JsonObject = {
            "job": step.job.to_dict() | {"progress": ""}, "step": step.name, "listing": listing, "failures": failures,
            "work": f"{work.__module__}:{work.__qualname__}", "plugins": plugin_folders(), "versions": versions(),
        }  # fmt: skip
        with quiet(step.job), CountingProgress(step, tasks) as progress:
            error = _run(step, order, len(tasks), progress)
        recorded = step.job.draft.results(failures)
        for key in recorded:
            raise Failure.from_dict(recorded[key]).exception(step)  # type: ignore[arg-type]
        if error is not None:
            raise error


def _run(step: JobStep, order: JsonObject, count: int, progress: CountingProgress) -> BloomeryError | None:
    """Run the pipeline to its end, or until every task has its result; the error of the runner, if it failed."""
    import apache_beam as beam

    from pipeline.beam.listed_tasks import RunListed, numbers_of

    options = step.job.cluster.beam
    pipeline = beam.Pipeline(options=pipeline_options(options.runner, options.options))
    ranges = [(first, min(first + RANGE, count)) for first in range(0, count, RANGE)]
    numbers = (
        pipeline
        | "Ranges" >> beam.Create(ranges, reshuffle=False)
        | "Numbers" >> beam.FlatMap(numbers_of)
        | "Balance" >> beam.Reshuffle()
    )
    _ = numbers | "Work" >> beam.ParDo(RunListed(order))
    result: PipelineResult | None = None
    try:
        result = pipeline.run()
        state = _wait(step, result, progress)
    except Exception as error:
        return _runner_failed(step, options.runner, error)
    except BaseException:
        if result is not None:
            with contextlib.suppress(Exception):  # the job's end is a wish: the interrupt goes on whatever comes of it
                result.cancel()
        raise
    return None if state == "DONE" else _runner_failed(step, options.runner, RuntimeError(f"the job ended as {state}"))


def _wait(step: JobStep, result: PipelineResult, progress: CountingProgress) -> str:
    """The state in which the job ends. A runner that lost a worker and replaces none says nothing and never ends.

    So the results in the draft count: when all are there, a job that goes on is given up; when no more come, people
    are told. Nothing is decided for them then, since an engine may still wait for machines.
    """
    outcome = list[str | Exception]()

    def wait() -> None:
        try:
            outcome.append(result.wait_until_finish())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=wait, name="wait-for-runner", daemon=True)
    thread.start()
    told_at = time.monotonic()
    while thread.is_alive():
        thread.join(POLL_S)
        now = time.monotonic()
        if progress.complete_since is not None and now - progress.complete_since > LINGER_S:
            with contextlib.suppress(Exception):
                result.cancel()
            step.job.progress.note(step.name, "every task is finished; the runner does not end its job: given up")
            return "DONE"
        if now - max(progress.changed_at, told_at) > SILENT_S:
            told_at = now
            step.job.progress.note(step.name, _silence(progress))
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


def _silence(progress: CountingProgress) -> str:
    return (
        f"no task has finished for {SILENT_S / 60:.0f} min, {progress.remaining} are left. If the runner lost a worker"
        " and starts no other, interrupt and run the same command again: finished tasks are kept"
    )


def _runner_failed(step: JobStep, runner: str, error: Exception) -> StageFailed:
    with contextlib.suppress(OSError), step.job.log.open("a", encoding="utf-8") as log:
        log.write(f"{error}\n")
    last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return StageFailed(
        f"{step.job.stage}: {step.name}: the runner {runner} failed: {last[:300]}. More is in {step.job.log.name}. "
        "Run the same command again: finished tasks are kept."
    )


@dataclass
class CountingProgress:
    """Reports finished tasks while a block runs, by looking into the draft: no worker has to reach this machine."""

    step: JobStep
    tasks: Sequence[Task[Any]]

    def __enter__(self) -> CountingProgress:
        self._ended = threading.Event()
        self.changed_at = time.monotonic()
        self.complete_since: float | None = None
        self._reported = set(self.step.job.draft.results(self.step.name))
        self._thread = threading.Thread(target=self._report_often, name="finished-tasks", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._report()

    @property
    def remaining(self) -> int:
        """Tasks without a result, as of the last look."""
        return sum(task.key not in self._reported for task in self.tasks)

    def _report_often(self) -> None:
        pause = POLL_S
        while not self._ended.wait(pause):
            start = time.monotonic()
            self._report()
            pause = max(POLL_S, POLL_SHARE * (time.monotonic() - start))

    def _report(self) -> None:
        finished = set(self.step.job.draft.results(self.step.name)) - self._reported
        self._reported |= finished
        if finished:
            self.changed_at = time.monotonic()
        if not self.remaining and self.complete_since is None:
            self.complete_since = time.monotonic()
        if size := sum(task.size for task in self.tasks if task.key in finished):
            self.step.job.progress.add(self.step.name, size)
