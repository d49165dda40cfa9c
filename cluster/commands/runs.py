"""`runs` and `report`: list the runs of a work directory, and write the report of a run again."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from cluster.program import program
from cluster.report.page import write
from cluster.run import Run, all_runs, find
from cluster.sections import stage_table
from cluster.stored_runs import upload_folder
from cluster.table import table
from pipeline.core import figures
from pipeline.core.store import Store


def runs(workdir: Path) -> None:
    """Print a table of runs, newest last."""
    recorded = all_runs(workdir)
    if not recorded:
        print(f"{workdir}: no runs yet. Start one with: {program()} run CONFIG.yaml")
        return
    print(table(["run", "started", "state", "stages", "took", "report"], [_row(run) for run in recorded]))


def _row(run: Run) -> list[str]:
    events = list(run.events())
    first = next((event for event in events if event["event"] == "started"), None)
    done = sum(event["event"] in ("stage_done", "skipped") for event in events)
    total = len(first["stages"]) if first else 0
    started = f"{datetime.fromtimestamp(first['time']):%Y-%m-%d %H:%M}" if first else ""
    took = figures.duration(events[-1]["time"] - events[0]["time"]) if events else ""
    report = "yes" if run.report.exists() else ""
    return [run.path.name, started, run.state(), f"{done} of {total}", took, report]


def report(workdir: Path, name: str | None) -> None:
    """Write the report from the current content of the run directory and the store."""
    run = find(workdir, name)
    print(write(run, Store(run.workdir), stage_table()))
    upload_folder(run.path, run.workdir)
