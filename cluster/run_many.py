"""Runs several configurations one after another, for `compare` and `sweep`. A failed run does not stop the others.

Finished runs are skipped. If runs use Ray without an address, one Ray cluster is started for all of them; its address
enters no fingerprint and no configuration.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.config import LoadedConfig
from cluster.console import Console
from cluster.execute import execute
from cluster.launchers.head import RayHead
from cluster.plan import plan, select
from cluster.result import STOPPED, RunOptions, RunResult
from cluster.run import PLAN, Run, all_runs
from pipeline.core.store import Store


@dataclass(frozen=True)
class NamedRun:
    """A configuration and its name among the others."""

    name: str
    loaded: LoadedConfig


def run_many(runs: Sequence[NamedRun], console: Console, *, log: Path, end: str | None = None) -> list[RunResult]:
    """The result of each run. After an interrupt the remaining runs are not started. `log` is the shared Ray's log."""
    results: list[RunResult] = []
    with RayHead(_cpus(runs), log) as head:
        for number, run in enumerate(runs, 1):
            heading, current = f"— {number} of {len(runs)}: {run.name}", current_result(run.loaded, end=end)
            if any(result.exit_code == STOPPED for result in results):
                results.append(current)
            elif _is_finished(current):
                console.say(f"{heading}: all stages cached")
                results.append(current)
            else:
                console.say(f"\n{heading}")
                cluster = run.loaded.config.cluster
                shared = cluster.launcher == "ray" and cluster.address is None
                options = RunOptions(end=end, head=head.address() if shared else None)
                results.append(execute(run.loaded, options, console))
    return results


def current_result(loaded: LoadedConfig, *, end: str | None = None) -> RunResult:
    """What is published of a configuration, with the newest run directory of the same plan."""
    steps = plan(loaded, Store(loaded.workdir))
    selected = tuple(step.id for step in select(steps, None, end))
    fingerprints = [(step.id, step.fingerprint) for step in steps]
    for run in reversed(all_runs(loaded.workdir)):
        same_name = f"-{loaded.config.name}" in run.path.name and (run.path / PLAN).exists()
        if same_name and [(step.id, step.fingerprint) for step in run.plan()] == fingerprints:
            return RunResult(0, run, tuple(steps), selected, _error(run))
    return RunResult(0, None, tuple(steps), selected)


def exit_code(results: Sequence[RunResult]) -> int:
    """0 if all runs finished, 1 if some failed, 130 if they were stopped."""
    codes = [result.exit_code for result in results]
    return STOPPED if STOPPED in codes else 1 if any(codes) else 0


def _is_finished(result: RunResult) -> bool:
    done = all(step.artifact is not None for step in result.steps if step.id in result.selected)
    return done and result.run is not None and result.run.state() == "finished"


def _error(run: Run) -> str:
    """The error of a run that failed; else empty."""
    events = list(run.events())
    return next((str(event.get("error", "")) for event in reversed(events) if event["event"] == "failed"), "")


def _cpus(runs: Sequence[NamedRun]) -> int:
    """The number of CPUs that Ray is given: those of this machine, or what the largest run needs if that is more."""
    clusters = [run.loaded.config.cluster for run in runs]
    return max(os.cpu_count() or 1, *(cluster.most_workers * cluster.threads for cluster in clusters))
