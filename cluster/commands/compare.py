"""`compare`: every entry on every corpus, one run after the other, and one page that sets them side by side.

All runs are judged before the first begins. What is done is skipped, a run that fails does not end the others, and the
same command goes on. Where the runs want Ray, one is started for all of them.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from cluster import figures
from cluster.comparison import Compared, Comparing, read, write
from cluster.console import Console, console
from cluster.execute import STOPPED, Wish, execute, relative
from cluster.launchers.head import Head
from cluster.plan import plan
from cluster.program import program
from cluster.report import comparison as report
from cluster.report.comparison_rows import Outcome
from cluster.run import PLAN, every
from pipeline.core.store import Store


def compare(path: Path, overrides: Sequence[str]) -> int:
    """Run what is not done yet, then draw the page; 0 when all is done, 1 when some failed, 130 when stopped.

    Raises: ConfigError, UserError before any work, for every run at once; Busy when another run holds the directory.
    """
    comparing, started = read(path, overrides), time.monotonic()
    write(comparing)
    screen = console()
    try:
        codes = _run_all(comparing, screen)
    finally:
        screen.close()
    outcomes = [_outcome(one) for one in comparing.runs]
    return _farewell(comparing, outcomes, codes, time.monotonic() - started)


def _run_all(comparing: Comparing, screen: Console) -> list[int]:
    """The exit code of each run, as far as it came."""
    codes: list[int] = []
    with Head(_cpus(comparing), comparing.folder / "ray.log") as head:
        for number, one in enumerate(comparing.runs, 1):
            place, outcome = f"— {number} of {len(comparing.runs)}: {one.name}", _outcome(one)
            if outcome.done and outcome.run and outcome.run.state() == "finished":
                screen.say(f"{place}, done before")
                codes.append(0)
                continue
            screen.say(f"\n{place}")
            cluster = one.loaded.config.cluster
            shared = cluster.launcher == "ray" and cluster.address is None
            codes.append(execute(one.loaded, Wish(head=head.address() if shared else None), screen))
            if codes[-1] == STOPPED:
                break
    return codes


def _cpus(comparing: Comparing) -> int:
    """How many processors Ray is told of: those of this machine, and no fewer than the widest run asks for."""
    clusters = [one.loaded.config.cluster for one in comparing.runs]
    return max(os.cpu_count() or 1, *(cluster.workers * cluster.threads for cluster in clusters))


def _outcome(one: Compared) -> Outcome:
    """Where a run stands: what is published of it, and the newest run directory of exactly this configuration."""
    planned = plan(one.loaded, Store(one.loaded.workdir))
    wanted = [stage.fingerprint for stage in planned]
    for run in reversed(every(one.loaded.workdir)):
        named = f"-{one.name}" in run.path.name and (run.path / PLAN).exists()
        if named and [stage["fingerprint"] for stage in run.plan()] == wanted:
            return Outcome(one, planned, run)
    return Outcome(one, planned, None)


def _farewell(comparing: Comparing, outcomes: Sequence[Outcome], codes: Sequence[int], seconds: float) -> int:
    """The failed ones with their sentences, where the page is, the command that goes on; the exit code."""
    command = command_of(comparing)
    page = report.write(comparing, outcomes, command)
    for outcome in outcomes:
        if outcome.error():
            print(f"{outcome.compared.name}: failed. {outcome.error()}")
    left = sum(not outcome.done for outcome in outcomes)
    print(f"\n{len(outcomes) - left} of {len(outcomes)} done, {figures.duration(seconds)}.")
    print(f"  page        {relative(page)}\n  tables      {relative(page.with_name(report.TABLES))}")
    if left:
        print(f"To go on:\n{command}")
    return STOPPED if STOPPED in codes else 1 if any(codes) else 0


def command_of(comparing: Comparing) -> str:
    """The command line of a comparison, which is also the one that goes on."""
    return shlex.join([program(), "compare", str(comparing.path), *comparing.overrides])
