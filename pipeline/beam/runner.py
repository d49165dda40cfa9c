"""Which runner, how many workers, and silence: Beam's embedded FnApiRunner, pinned, never its `multi_threading` mode.

That mode was seen to lose elements in three runs of nine; the default runner first tries to download another one.
Beam's words go to the job's log, ours to the user.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.beam.guard import Guard
from pipeline.beam.task import Isolation
from pipeline.core.errors import StageFailed
from pipeline.core.stage import Job


def run_pipeline(job: Job, step: str, wire: Callable[[Any, Guard], None], *, isolation: Isolation) -> None:
    """Build a pipeline with `wire(pipeline, guard)` and run it to its end.

    Raises: the first error of the work; StageFailed when a worker died or Beam itself failed.
    """
    with _quiet(job), tempfile.TemporaryDirectory(prefix="bloomery-") as control:
        import apache_beam as beam

        guard = Guard(job, step, Path(control), exits=isolation == "processes")
        runner, options = _runner(job, guard, isolation)
        pipeline = beam.Pipeline(runner=runner, options=options)
        wire(pipeline, guard)
        try:
            pipeline.run().wait_until_finish()
        except Exception as error:
            raise _told(guard, error) from error
        except BaseException:
            guard.stop()
            raise


def threads_a_worker(workers: int) -> int:
    """Threads that libraries of one worker may start, so that workers × threads = cores."""
    return max(1, len(os.sched_getaffinity(0)) // max(1, workers))


def _runner(job: Job, guard: Guard, isolation: Isolation) -> tuple[Any, Any]:
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    flags = [f"--direct_num_workers={max(1, job.workers)}"]
    if isolation == "processes":
        from pipeline.beam.workers import process_runner

        return process_runner(guard, threads_a_worker(job.workers)), PipelineOptions(flags)
    import pyarrow as pa

    pa.set_cpu_count(threads_a_worker(job.workers))
    return FnApiRunner(), PipelineOptions([*flags, "--direct_running_mode=in_memory"])


def _told(guard: Guard, error: Exception) -> Exception:
    """What the user hears: the work's own error, a dead worker's sentence, or Beam's last line."""
    found = guard.first_error() or (error if isinstance(error, StageFailed) else None)
    if found is not None:
        return found
    with guard.job.log.open("a", encoding="utf-8") as log:
        log.write(f"{error}\n")
    last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return StageFailed(
        f"{guard.job.stage}: {guard.step}: Beam failed: {last[:300]}. More is in {guard.job.log.name};"
        " run the same command again: finished tasks are kept."
    )


@contextlib.contextmanager
def _quiet(job: Job) -> Iterator[None]:
    """Beam's import puts a handler on the root logger and its runner warns of what we chose: both go to the log."""
    logger = logging.getLogger("apache_beam")
    handler = logging.FileHandler(job.log, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())
    before = logger.propagate, logger.level
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
        logger.propagate, logger.level = before
