"""The supervisor: one step after another, each a process of its own; this one stays small and imports nothing heavy.

Killed anywhere, the same command goes on: artifacts are whole or absent, drafts are resumed, and a lock keeps two runs
apart. After each step the rest is planned again, since what came out the same need not be done again. The last line
after a failure is the command that resumes.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress

from cluster import interrupt, lock
from cluster.child import versions
from cluster.config import LoadedConfig
from cluster.console import Console
from cluster.next_steps import print_next_steps
from cluster.plan import PlannedStep, Planner, select
from cluster.program import program
from cluster.progress import Listener
from cluster.result import STOPPED, RunOptions, RunResult, command_of, relative
from cluster.run import create, process_start_ticks
from cluster.step import Supervisor, perform, skip
from pipeline.core import figures
from pipeline.core.errors import BloomeryError
from pipeline.core.files import RawFile
from pipeline.core.shortage import PROBLEMS, shortage_of
from pipeline.core.store import Store


def execute(loaded: LoadedConfig, options: RunOptions, console: Console) -> RunResult:
    """Plan, lock, run what is not done, report. Says everything there is to say.

    Raises: UserError for a wrong range; WorkdirLocked when another run holds the work directory.
    """
    command_line = command_of(loaded, options)
    with lock.acquire(loaded.workdir, command_line), Listener() as listener, interrupt.signals_as_interrupt():
        store = Store(loaded.workdir)
        planner = Planner(loaded, store, hashed=_Hashing(console))
        selected = [step.id for step in select(planner.plan(), options.start, options.end)]
        run = create(loaded)
        supervisor = Supervisor(loaded, store, run, console, listener, options)
        return _supervise(supervisor, planner, selected, command_line)


def _supervise(supervisor: Supervisor, planner: Planner, selected: Sequence[str], command_line: str) -> RunResult:
    console, run, loaded, started = supervisor.console, supervisor.run, supervisor.loaded, time.monotonic()
    current, error, code = selected[0], "", 0
    try:
        steps = _replan(supervisor, planner, selected)
        run.event(
            "started", pid=os.getpid(), born=process_start_ticks(os.getpid()), command=command_line,
            host=socket.gethostname(), versions=versions(), stages=list(selected),
        )  # fmt: skip
        console.say(f"{loaded.config.name}: {len(selected)} stages, {relative(run.path)}")
        console.stages(list(selected))
        for number, current in enumerate(selected, 1):
            console.begin(number, len(selected), current)
            if steps[current].artifact is not None and not supervisor.options.force:
                skip(supervisor, steps[current])
                continue
            perform(supervisor, steps[current])
            steps = _replan(supervisor, planner, selected[number:])
        run.event("finished", seconds=round(time.monotonic() - started, 3))
    except KeyboardInterrupt:
        code = STOPPED
        console.end("stopped", "stopped; what is finished is kept")
        _record_event(supervisor, "stopped", stage=current)
    except (BloomeryError, OSError) as failure:
        code, error = getattr(failure, "exit_code", 1), _sentence(failure, current)
        console.end("failed", error)
        _record_event(supervisor, "failed", stage=current, error=error)
    _close(supervisor)
    result = RunResult(code, run, tuple(planner.plan()), tuple(selected), error)
    if code == 0:
        print_next_steps(supervisor, result, time.monotonic() - started)
    else:
        log = f"Log: {relative(run.log)}\n" if error else ""
        console.say(f"{log}To go on:\n{command_of(loaded, supervisor.options, failed=current)}")
    return result


def _replan(supervisor: Supervisor, planner: Planner, remaining: Sequence[str]) -> dict[str, PlannedStep]:
    """The plan as the store stands now, also in the run directory; what is forced is not taken from elsewhere."""
    steps = planner.plan(fresh=remaining if supervisor.options.force else ())
    supervisor.run.write_plan(steps, supervisor.loaded)
    return {step.id: step for step in steps}


def _sentence(failure: BloomeryError | OSError, step: str) -> str:
    """A failure in one sentence.

    Raises: the failure itself where it is neither ours nor a limit of the machine.
    """
    if isinstance(failure, BloomeryError):
        return str(failure)
    shortage = shortage_of(failure)
    if shortage is None:
        raise failure
    where = f" ({failure.filename})" if failure.filename else ""
    return f"{step}: {PROBLEMS[shortage]}{where}. What is finished is kept."


def _record_event(supervisor: Supervisor, kind: str, **fields: str) -> None:
    """An event that a full disk may not hold: the console has said it."""
    with suppress(OSError):
        supervisor.run.event(kind, **fields)


def _close(supervisor: Supervisor) -> None:
    """Lineage and report, of a failed run too; a report that cannot be drawn is said and harms nothing."""
    from cluster.report.page import write

    run = supervisor.run
    try:
        run.write_lineage(supervisor.store)
        write(run, supervisor.store, supervisor.loaded.specs)
    except Exception as error:
        _record_event(supervisor, "no_report", error=repr(error))
        supervisor.console.say(f"The report could not be drawn ({error!r}); try: {program()} report {run.path}")


class _Hashing:
    """Says, now and then, that raw files are being read for the first time."""

    def __init__(self, console: Console) -> None:
        self.console, self.bytes, self.files, self.next = console, 0, 0, time.monotonic() + 2.0

    def __call__(self, file: RawFile) -> None:
        self.bytes, self.files = self.bytes + file.size, self.files + 1
        if time.monotonic() > self.next:
            self.next = time.monotonic() + 5.0
            self.console.say(f"looking at raw files: {self.files:,} hashed, {figures.size(self.bytes)}")
