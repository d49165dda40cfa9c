"""`top`: a live view of a run, from any machine that can read its records.

It reads live.json and the end of events.jsonl, which the supervisor of the run writes every few seconds; it asks no
process of the run. Plain lines where the output is no terminal.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from cluster.live import FILE, LiveRun, LiveStage
from cluster.run import Run, find
from cluster.run_records import Event
from cluster.table import table
from pipeline.core import figures
from pipeline.core.errors import UserError
from pipeline.core.files import read_json

EVERY_S = 2.0
EVENTS, RANKS = 8, 16  # shown at most
SILENT_S = 15.0  # without a new snapshot of a run that is said to go on
MARKS = {"waiting": " ", "running": "▸", "done": "✓", "cached": "=", "failed": "✗", "stopped": "■"}
HIDDEN = ("time", "event", "stage", "message", "versions", "stages", "digest", "pid", "born", "command")


def top(workdir: Path, name: str | None, *, once: bool) -> int:
    """Show a run until it ends; 0 if it is running or finished, 1 if it failed, was stopped or killed.

    Raises: UserError when there is no such run, or it was started by a release without live.json.
    """
    run = find(workdir, name)
    if once or not sys.stdout.isatty():
        while True:
            state, text = screen(run, time.time())
            print(text, flush=True)
            if once or state != "running":
                return int(state not in ("running", "finished"))
            time.sleep(EVERY_S)
            print(flush=True)
            run = find(workdir, run.path.name)
    from rich.live import Live
    from rich.text import Text

    state, text = screen(run, time.time())
    with Live(Text(text, no_wrap=True, overflow="ellipsis"), auto_refresh=False, screen=True) as view:
        while state == "running":
            time.sleep(EVERY_S)
            run = find(workdir, run.path.name)  # fetches the records of a run whose work directory is behind a URL
            state, text = screen(run, time.time())
            view.update(Text(text, no_wrap=True, overflow="ellipsis"), refresh=True)
    print(text)  # the last screen stays
    return int(state != "finished")


def screen(run: Run, now: float) -> tuple[str, str]:
    """The state of a run, and the screen at a Unix time."""
    path = run.path / FILE
    if not path.exists():
        raise UserError(
            f"{path}: missing. The run has not begun, or an earlier release started it; see its report.html."
        )
    live: LiveRun = read_json(path)
    state, stages = run.state(), [(name, live["stages"][name]) for name in live["order"]]
    lines = [_head(live, state, now), ""]
    lines += table(["", "stage", "time", "what"], [_stage(name, stage) for name, stage in stages]).splitlines()
    for name, stage in stages:
        if stage.get("state") in ("running", "failed", "stopped"):
            lines += _details(name, stage)
    if events := [event for event in run.events() if event["event"] != "progress"][-EVENTS:]:
        lines += ["", "Last events", *(f"  {_event(event)}" for event in events)]
    return state, "\n".join(lines)


def _head(live: LiveRun, state: str, now: float) -> str:
    until = now if state == "running" else live["updated"]
    head = f"{live['run']}: {state}, {figures.duration(max(0.0, until - live['started']))}, on {live['host']}"
    silent = now - live["updated"]
    if state == "running" and silent > SILENT_S:
        return f"{head}; nothing new for {figures.duration(silent)}"
    return head


def _stage(name: str, stage: LiveStage) -> list[str]:
    seconds = stage.get("seconds")
    return [MARKS[stage["state"]], name, figures.duration(seconds) if seconds else "", _summary(stage)]


def _summary(stage: LiveStage) -> str:
    if "line" in stage and stage["state"] == "running":
        return stage["line"]
    parts: list[str] = [stage["state"]]
    if rows := stage.get("rows"):
        parts.append(f"{figures.count(rows['kept'])} of {figures.count(rows['read'])} rows kept")
    if "bytes" in stage:
        parts.append(f"{figures.size(stage['bytes'])} in {figures.plural(stage['files'], 'file')}")
    return " · ".join(parts)


def _details(name: str, stage: LiveStage) -> Iterator[str]:
    """Steps, tasks, checkpoints, losses and ranks of a stage."""
    yield from ("", f"{name}, attempt {stage.get('attempt', 1)}")
    for step, tasks in stage.get("tasks", {}).items():
        counts = [f"{tasks[state]} {state}" for state in ("running", "waiting", "done", "retried") if tasks[state]]
        if tasks["running"] or tasks["waiting"] or tasks["retried"]:
            yield f"  {step}: tasks {', '.join(counts)}"
    if checkpoint := stage.get("checkpoint"):
        size = figures.size(checkpoint["bytes"])
        yield f"  checkpoint after step {checkpoint['step']:,}: {size}, training waited {checkpoint['seconds']:.1f} s"
    if stage.get("restarts"):
        yield f"  started again after a process of it died: {stage['restarts']} ×"
    if stage.get("workers_lost") or stage.get("gang_restarts"):
        yield f"  workers lost: {stage.get('workers_lost', 0)}, restarts: {stage.get('gang_restarts', 0)}"
    ranks = sorted(stage.get("ranks", {}).items(), key=lambda item: int(item[0]))
    if ranks:
        kinds = list(dict.fromkeys(kind for _, rank in ranks for kind in rank.get("seconds", {})))
        header = ["rank", "host", "device", "step", *(kind.replace("_", " ") for kind in kinds), "GPU memory"]
        rows = []
        for number, rank in ranks[:RANKS]:
            seconds = rank.get("seconds", {})
            memory = figures.size(rank["gpu_bytes"]) if "gpu_bytes" in rank else ""
            step_text = f"{rank['step']:,}" if "step" in rank else ""
            spent = [figures.duration(seconds[kind]) if kind in seconds else "" for kind in kinds]
            rows.append([number, rank.get("host", ""), rank.get("device", ""), step_text, *spent, memory])
        yield from (f"  {line}" for line in table(header, rows).splitlines())
        if len(ranks) > RANKS:
            yield f"  and {len(ranks) - RANKS} more ranks"


def _event(event: Event) -> str:
    """ "12:00:31 pretrain checkpoint_saved: step 300, bytes 657,527"."""
    fields: Sequence[tuple[str, object]] = [(key, value) for key, value in event.items() if key not in HIDDEN]
    details = ", ".join(f"{key} {_value(value)}" for key, value in fields)
    stage = f"{event['stage']} " if "stage" in event else ""
    clock = datetime.fromtimestamp(event["time"]).strftime("%H:%M:%S")
    return f"{clock} {stage}{event['event']}{': ' if details else ''}{details}"


def _value(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.3g}" if isinstance(value, float) else str(value)
