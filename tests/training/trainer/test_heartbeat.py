"""Heartbeats: a launcher sees where a worker is, whether its process runs at all, and whether it computes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.job import Job
from training import heartbeat
from training.heartbeat import ALIVE, HEARTBEAT, Heartbeat
from training.stages.pretrain import spec_of
from training.trainer.worker import work


def test_a_training_says_every_phase_of_every_step(
    make_job: Callable[..., Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HEARTBEAT, str(tmp_path / "beat-0"))
    said: list[tuple[str, int]] = []
    beat = Heartbeat.beat

    def listen(self: Heartbeat, phase: heartbeat.Phase, step: int = 0) -> None:
        beat(self, phase, step)
        content = json.loads((tmp_path / "beat-0").read_bytes())
        said.append((content["phase"], content["step"]))
        assert content["from"] == 0

    monkeypatch.setattr(Heartbeat, "beat", listen)
    work(spec_of(make_job("a", steps=3, save_every=2, validate_every=3)).to_dict(), lambda figures: None)
    assert said[0] == ("start", 0)
    of_a_step = ["data", "wait", "compute"]
    expected = [(phase, 0) for phase in of_a_step] + [(phase, 1) for phase in of_a_step] + [("save", 2)]
    assert said[1:8] == expected and said[-2:] == [("validate", 3), ("save", 3)]


def test_nothing_is_written_where_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HEARTBEAT, raising=False)
    monkeypatch.chdir(tmp_path)
    Heartbeat().beat("data", 3)
    assert not list(tmp_path.iterdir())


WORKER = """
import sys, time
from training.heartbeat import Heartbeat
Heartbeat().beat("compute", 7)
while sys.argv[1] == "loop":
    pass
time.sleep(60)
"""


@pytest.mark.parametrize("how", ["loop", "sleep"])
def test_a_loop_without_end_is_told_from_a_wait_and_a_stopped_process_from_both(tmp_path: Path, how: str) -> None:
    path = tmp_path / "beat-1"
    alive = Path(f"{path}{ALIVE}")
    worker = subprocess.Popen([sys.executable, "-c", WORKER, how], env={**os.environ, HEARTBEAT: str(path)})
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if alive.exists() and (content := json.loads(alive.read_bytes() or b"{}")) and content["silent_s"] > 2:
                break
            time.sleep(0.1)
        # on a busy machine a loop gets a small part of a core; a wait takes nothing
        assert (content["busy_s"] > 0.03) == (how == "loop"), content
        assert json.loads(path.read_bytes()) == {"step": 7, "phase": "compute", "from": 7}
        worker.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        before = alive.stat().st_mtime_ns
        time.sleep(2.5)
        assert alive.stat().st_mtime_ns == before, "a process that is stopped gives no sign of life"
    finally:
        worker.kill()
        worker.wait()
