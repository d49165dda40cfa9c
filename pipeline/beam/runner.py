"""The executors on Beam: threads or processes of this host, by its embedded FnApiRunner, never `multi_threading` mode.

That mode was seen to lose elements in three runs of nine; the default runner first tries to download another one. Only
the numbers of tasks cross Beam. Beam's words go to the job's log, ours to the user.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.beam.beam_log import quiet
from pipeline.beam.control import StepControl
from pipeline.beam.executor import run_task
from pipeline.beam.failure import shortage_error
from pipeline.beam.local import folder_channel, threads_per_worker
from pipeline.beam.task import JobStep, Payload, Result, Task, Work
from pipeline.core.errors import StageFailed
from pipeline.core.job import Job
from pipeline.core.shortage import shortage_of

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner


class Threads:
    """An `Executor`: threads of this process."""

    def run(self, step: JobStep, tasks: Sequence[Task[Payload]], work: Work[Payload, Result]) -> None:
        _run(step, tasks, work, processes=False)


class Processes:
    """An `Executor`: processes of our own on this host."""

    def run(self, step: JobStep, tasks: Sequence[Task[Payload]], work: Work[Payload, Result]) -> None:
        _run(step, tasks, work, processes=True)


def _run(step: JobStep, tasks: Sequence[Task[Payload]], work: Work[Payload, Result], *, processes: bool) -> None:
    """Do all tasks.

    Raises: as `Executor.run`; StageFailed when Beam itself failed.
    """
    with quiet(step.job), folder_channel() as channel:
        control = StepControl(step, channel, exits=processes)
        try:
            if len(tasks) == 1 and not processes:
                _run_here(control, tasks[0], work)
            else:
                _run_pipeline(control, tasks, work)
        except Exception as error:
            raise _error_of(control, error) from error
        except BaseException:
            channel.stop()
            raise


def _run_here(control: StepControl, task: Task[Payload], work: Work[Payload, Result]) -> None:
    """The only task of a step: there is nothing to deal out, and a pipeline costs 0.08 CPU-seconds."""
    _share_cores(control.step.job)
    with control.task(task.key):
        run_task(control.step, task, work)


def _run_pipeline(control: StepControl, tasks: Sequence[Task[Payload]], work: Work[Payload, Result]) -> None:
    """Run Create(numbers) | ParDo(work) to its end."""
    import apache_beam as beam

    from pipeline.beam.transform import RunTask

    runner, options = _process_runner(control) if control.exits else _thread_runner(control.step.job)
    pipeline = beam.Pipeline(runner=runner, options=options)
    numbers = pipeline | "Numbers" >> beam.Create(list(range(len(tasks))))
    _ = numbers | "Work" >> beam.ParDo(RunTask(control, tuple(tasks), work))
    pipeline.run().wait_until_finish()


def _process_runner(control: StepControl) -> tuple[FnApiRunner, PipelineOptions]:
    from pipeline.beam.workers import process_runner

    workers = control.step.job.workers
    return process_runner(control, threads_per_worker(workers)), _options(workers)


def _thread_runner(job: Job) -> tuple[FnApiRunner, PipelineOptions]:
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    _share_cores(job)
    return FnApiRunner(), _options(job.workers, "--direct_running_mode=in_memory")


def _share_cores(job: Job) -> None:
    """Let Arrow use what the other threads of the stage leave."""
    import pyarrow as pa

    pa.set_cpu_count(threads_per_worker(job.workers))


def _options(workers: int, *flags: str) -> PipelineOptions:
    from apache_beam.options.pipeline_options import PipelineOptions

    return PipelineOptions([f"--direct_num_workers={max(1, workers)}", *flags])


def _error_of(control: StepControl, error: Exception) -> Exception:
    """The error to raise: the work's own, a dead worker's sentence, a shortage, or Beam's last line."""
    step, failure = control.step, control.channel.first()
    if failure is not None:
        return failure.exception(step)
    if isinstance(error, StageFailed):
        return error
    # the log may lie on the disk that is full
    with contextlib.suppress(OSError), step.job.log.open("a", encoding="utf-8") as log:
        log.write(f"{error}\n")
    last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    if shortage := shortage_of(error):
        return shortage_error(step, shortage, "", last)
    return StageFailed(
        f"{step.job.stage}: {step.name}: Beam failed: {last[:300]}. More is in {step.job.log.name}. "
        "Run the same command again: finished tasks are kept."
    )
