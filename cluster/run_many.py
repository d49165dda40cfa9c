"""Many runs, one after the other: for `compare` and `sweep`. A run that fails does not end the others.

What is done is skipped. Where runs want Ray and name no address, one Ray is started for all of them; its address enters
no fingerprint and no configuration.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.config import Loaded
from cluster.console import Console
from cluster.execute import execute
from cluster.launchers.head import Head
from cluster.plan import plan, select
from cluster.result import STOPPED, RunOptions, RunResult
from cluster.run import PLAN, Run, every
from pipeline.core.store import Store


@dataclass(frozen=True)
class NamedRun:
    """A configuration and what it is called among the others."""

    name: str
    loaded: Loaded


def run_many(runs: Sequence[NamedRun], console: Console, *, log: Path, end: str | None = None) -> list[RunResult]:
    """The result of each run; those after one that was stopped stand as they were. `log` is of the shared Ray."""
    results: list[RunResult] = []
    with Head(_cpus(runs), log) as head:
        for number, one in enumerate(runs, 1):
            place, standing = f"— {number} of {len(runs)}: {one.name}", standing_of(one.loaded, end=end)
            if any(result.exit_code == STOPPED for result in results):
                results.append(standing)
            elif _is_finished(standing):
                console.say(f"{place}, done before")
                results.append(standing)
            else:
                console.say(f"\n{place}")
                cluster = one.loaded.config.cluster
                shared = cluster.launcher == "ray" and cluster.address is None
                options = RunOptions(end=end, head=head.address() if shared else None)
                results.append(execute(one.loaded, options, console))
    return results


def standing_of(loaded: Loaded, *, end: str | None = None) -> RunResult:
    """What is published of a configuration, and the newest run directory of exactly that."""
    steps = plan(loaded, Store(loaded.workdir))
    chosen = tuple(step.id for step in select(steps, None, end))
    wanted = [(step.id, step.fingerprint) for step in steps]
    for run in reversed(every(loaded.workdir)):
        named = f"-{loaded.config.name}" in run.path.name and (run.path / PLAN).exists()
        if named and [(step.id, step.fingerprint) for step in run.plan()] == wanted:
            return RunResult(0, run, tuple(steps), chosen, _error(run))
    return RunResult(0, None, tuple(steps), chosen)


def exit_code(results: Sequence[RunResult]) -> int:
    """0 when all is done, 1 when some failed, 130 when it was stopped."""
    codes = [result.exit_code for result in results]
    return STOPPED if STOPPED in codes else 1 if any(codes) else 0


def _is_finished(result: RunResult) -> bool:
    done = all(step.artifact is not None for step in result.steps if step.id in result.chosen)
    return done and result.run is not None and result.run.state() == "finished"


def _error(run: Run) -> str:
    """Why a run failed, if that is how it ended."""
    events = list(run.events())
    return next((str(event.get("error", "")) for event in reversed(events) if event["event"] == "failed"), "")


def _cpus(runs: Sequence[NamedRun]) -> int:
    """How many processors Ray is given: those of this machine, and no fewer than the widest run asks for."""
    clusters = [one.loaded.config.cluster for one in runs]
    return max(os.cpu_count() or 1, *(cluster.workers * cluster.threads for cluster in clusters))
