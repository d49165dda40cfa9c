"""The supervisor runs the steps of a plan one after another, each in a separate process. It imports nothing heavy.

After a kill at any point the same command resumes the run: artifacts are published atomically, drafts are resumed, and
a lock allows one run per work directory. After each step the rest is planned again, because a step whose output did not
change makes later steps unnecessary. A failed run ends with the command that resumes it.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Unpack

from cluster import interrupt, lock
from cluster.announced_estimates import announce_estimates
from cluster.child import versions
from cluster.config import LoadedConfig
from cluster.console import Console
from cluster.forked_stage import StageServer
from cluster.launchers.head import RayHead
from cluster.live import LiveState
from cluster.machine_processes import process_start_ticks
from cluster.metrics import MetricsExport
from cluster.next_steps import print_next_steps
from cluster.plan import PlannedStep, Planner, select
from cluster.program import program
from cluster.progress import Listener
from cluster.result import STOPPED, RunOptions, RunResult, command_of, relative
from cluster.run import Run, create
from cluster.run_records import EventFields
from cluster.step import perform, skip
from cluster.stored_runs import uploading
from cluster.supervisor import Supervisor
from pipeline.core import figures
from pipeline.core.errors import BloomeryError
from pipeline.core.files import RawFile
from pipeline.core.shortage import PROBLEMS, shortage_of
from pipeline.core.store import Store


def execute(loaded: LoadedConfig, options: RunOptions, console: Console) -> RunResult:
    """Lock the work directory, plan, run what is not cached, and write the report. Prints the outcome.

    Raises: UserError for an invalid range of steps; WorkdirLocked when another run holds the work directory.
    """
    command_line = command_of(loaded, options)
    acquired = lock.acquire(loaded.workdir, command_line, say=console.say)
    metrics = MetricsExport(loaded.config.cluster.metrics)
    with acquired as check_lock, Listener() as listener, interrupt.signals_as_interrupt(), metrics:
        store = Store(loaded.workdir, cache_bytes=loaded.config.cluster.cache_gb << 30)
        planner = Planner(loaded, store, hashed=_Hashing(console))
        selected = [step.id for step in select(planner.plan(), options.start, options.end)]
        run = create(loaded)
        live = LiveState(run.path.name, socket.gethostname(), os.getpid())
        with (
            closing(StageServer()) as server,
            _shared_ray(loaded, run, options) as ray,
            uploading(run.path, loaded.workdir),
        ):
            supervisor = Supervisor(
                loaded, store, run, console, listener, options, live, metrics, server, ray, check_lock
            )
            return _supervise(supervisor, planner, selected, command_line)


@contextmanager
def _shared_ray(loaded: LoadedConfig, run: Run, options: RunOptions) -> Iterator[RayHead | None]:
    """One Ray on this machine for all steps of a run whose data stages are on Ray and which names none that runs."""
    cluster = loaded.config.cluster
    if cluster.beam.runner != "ray" or cluster.address or options.head:
        yield None
        return
    cpus = max(os.cpu_count() or 1, cluster.beam.workers, cluster.most_workers * cluster.threads)
    with RayHead(cpus, run.log) as head:
        yield head


def _supervise(supervisor: Supervisor, planner: Planner, selected: Sequence[str], command_line: str) -> RunResult:
    console, run, loaded, started = supervisor.console, supervisor.run, supervisor.loaded, time.monotonic()
    current, error, code = selected[0], "", 0
    try:
        steps = _replan(supervisor, planner, selected)
        run.event(
            "started", pid=os.getpid(), born=process_start_ticks(os.getpid()), command=command_line,
            host=socket.gethostname(), versions=versions(), stages=list(selected),
        )  # fmt: skip
        console.say(
            f"{loaded.config.name}: {_count_stages(supervisor, steps, selected)}. Run directory: {relative(run.path)}"
        )
        due = [step for step in selected if steps[step].artifact is None or supervisor.options.force]
        announce_estimates(supervisor, steps, due)
        console.stages(list(selected))
        supervisor.live.plan(list(selected))
        for number, current in enumerate(selected, 1):
            console.begin(number, len(selected), current)
            if steps[current].artifact is not None and not supervisor.options.force:
                skip(supervisor, steps[current])
                continue
            announce_estimates(supervisor, steps, [current])
            perform(supervisor, steps[current])
            steps = _replan(supervisor, planner, selected[number:])
        run.event("finished", seconds=round(time.monotonic() - started, 3))
        supervisor.live.state = "finished"
    except KeyboardInterrupt:
        code = STOPPED
        console.end("stopped", "stopped; finished work is kept")
        _record_event(supervisor, "stopped", stage=current)
        supervisor.live.fail(current, "stopped")
    except (BloomeryError, OSError) as failure:
        code, error = getattr(failure, "exit_code", 1), _sentence(failure, current)
        console.end("failed", error)
        _record_event(supervisor, "failed", stage=current, error=error)
        supervisor.live.fail(current, "failed")
    with suppress(OSError):  # a full disk: the console has said so
        supervisor.show()
    _close(supervisor)
    result = RunResult(code, run, tuple(planner.plan()), tuple(selected), error)
    if code == 0:
        print_next_steps(supervisor, result, time.monotonic() - started)
    else:
        log = f"Log: {relative(run.log)}\n" if error else ""
        console.say(f"{log}To resume, run:\n{command_of(loaded, supervisor.options, failed=current)}")
    return result


def _count_stages(supervisor: Supervisor, steps: Mapping[str, PlannedStep], selected: Sequence[str]) -> str:
    """ "9 stages, all cached", "9 stages, 7 cached"; forced steps are not cached."""
    cached = 0 if supervisor.options.force else sum(steps[step].artifact is not None for step in selected)
    state = "" if not cached else ", all cached" if cached == len(selected) else f", {cached} cached"
    return f"{figures.plural(len(selected), 'stage')}{state}"


def _replan(supervisor: Supervisor, planner: Planner, remaining: Sequence[str]) -> dict[str, PlannedStep]:
    """Plan against the current store and record the plan in the run directory. Forced steps are never cached."""
    steps = planner.plan(fresh=remaining if supervisor.options.force else ())
    supervisor.run.write_plan(steps, supervisor.loaded)
    return {step.id: step for step in steps}


def _sentence(failure: BloomeryError | OSError, step: str) -> str:
    """The message of a failure.

    Raises: the failure itself if it is neither a BloomeryError nor a limit of the machine.
    """
    if isinstance(failure, BloomeryError):
        return str(failure)
    shortage = shortage_of(failure)
    if shortage is None:
        raise failure
    where = f" ({failure.filename})" if failure.filename else ""
    return f"{step}: {PROBLEMS[shortage]}{where}. What is finished is kept."


def _record_event(supervisor: Supervisor, kind: str, **fields: Unpack[EventFields]) -> None:
    """Record an event, unless the disk is full: the console has shown it already."""
    with suppress(OSError):
        supervisor.run.event(kind, **fields)


def _close(supervisor: Supervisor) -> None:
    """Write lineage and report, also after a failure. A report that cannot be written does not fail the run."""
    from cluster.report.page import write

    run = supervisor.run
    try:
        run.write_lineage(supervisor.store)
        write(run, supervisor.store, supervisor.loaded.specs)
    except Exception as error:
        _record_event(supervisor, "no_report", error=repr(error))
        supervisor.console.say(
            f"The report could not be written ({error!r}). Try again with: {program()} report {run.path}"
        )


class _Hashing:
    """Reports every few seconds that raw files are being hashed for the first time."""

    def __init__(self, console: Console) -> None:
        self.console, self.bytes, self.files, self.next = console, 0, 0, time.monotonic() + 2.0

    def __call__(self, file: RawFile) -> None:
        self.bytes, self.files = self.bytes + file.size, self.files + 1
        if time.monotonic() > self.next:
            self.next = time.monotonic() + 5.0
            self.console.say(f"hashing raw files: {self.files:,} files, {figures.size(self.bytes)}")
