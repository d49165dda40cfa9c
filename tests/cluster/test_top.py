"""`bloomery top`: one screen of a run, from its records alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.commands.top import screen, top
from cluster.live import FILE, LiveRun
from cluster.machine_processes import process_start_ticks
from cluster.run import Run
from pipeline.core.errors import UserError
from pipeline.core.files import write_json

LIVE: LiveRun = {
    "run": "20261129-120000-demo", "state": "running", "host": "vm", "pid": os.getpid(), "started": 1000.0,
    "updated": 1090.0, "order": ["ingest", "dedupe", "pretrain", "export"],
    "stages": {
        "ingest": {"state": "cached"},
        "dedupe": {
            "state": "done", "attempt": 1, "seconds": 12.5, "bytes": 2_000_000, "files": 3,
            "rows": {"read": 6501, "kept": 5930, "dropped": 571, "quarantined": 0},
        },
        "pretrain": {
            "state": "running", "attempt": 2, "seconds": 61.0, "line": "train 30 of 100 steps · loss 4.512",
            "tasks": {"rows": {"waiting": 2, "running": 1, "done": 3, "retried": 1}},
            "checkpoint": {"count": 2, "step": 25, "bytes": 64_000_000, "seconds": 0.5},
            "workers_lost": 1, "gang_restarts": 1,
            "ranks": {
                str(rank): {"host": f"n{rank % 2}", "device": "cpu", "step": 30,
                            "seconds": {"compute": 40.0, "data_wait": 1.0}}
                for rank in range(20)
            },
        },
        "export": {"state": "waiting"},
    },
}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run that goes on: its process is this one."""
    run = Run(tmp_path / "work" / "runs" / "20261129-120000-demo")
    run.metrics.mkdir(parents=True)
    (run.path / "config.yaml").write_text("name: demo\n")
    write_json(run.path / FILE, LIVE)
    run.event("started", pid=os.getpid(), born=process_start_ticks(os.getpid()), host=os.uname().nodename, stages=[])
    run.event("worker_lost", stage="pretrain", worker="3", host="n1", cause="killed (SIGKILL)")
    return run


def test_a_screen_shows_stages_tasks_ranks_and_events(run: Run) -> None:
    state, text = screen(run, 1092.0)
    lines = text.splitlines()
    assert state == "running"
    assert lines[0] == "20261129-120000-demo: running, 1 min 32 s, on vm"
    for expected in (
        "train 30 of 100 steps · loss 4.512", "5,930 of 6,501 rows kept · 2 MB in 3 files",
        "rows: tasks 1 running, 2 waiting, 3 done, 1 retried", "checkpoint after step 25: 64 MB",
        "workers lost: 1, restarts: 1", "and 4 more ranks",
        "pretrain worker_lost: worker 3, host n1, cause killed (SIGKILL)",
    ):  # fmt: skip
        assert expected in text, expected
    assert text.index("ingest") < text.index("dedupe") < text.index("pretrain") < text.index("export")


def test_a_run_without_news_says_since_when(run: Run) -> None:
    assert "nothing new for 2 min 00 s" in screen(run, 1210.0)[1].splitlines()[0]


def test_a_run_that_an_earlier_release_started_is_refused_in_a_sentence(run: Run) -> None:
    (run.path / FILE).unlink()
    with pytest.raises(UserError, match="an earlier release"):
        screen(run, 1092.0)


def test_once_prints_one_screen_and_the_exit_code_tells_how_the_run_ended(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert top(run.workdir, run.path.name, once=True) == 0
    run.event("failed", stage="pretrain", error="pretrain: 坏了.")
    assert top(run.workdir, str(run.path), once=True) == 1
    printed = capsys.readouterr().out
    assert "demo: failed" in printed and "坏了" in printed


def test_without_a_terminal_it_prints_plain_lines_and_ends_with_the_run(run: Run) -> None:
    run.event("finished", seconds=1.0)
    command = [sys.executable, "-m", "cluster.cli", "top", run.path.name, "--workdir", str(run.workdir)]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "demo: finished" in printed and "\x1b" not in printed
    assert json.loads((run.path / FILE).read_text())["run"] in printed
