"""One Ray for several stages: joined by each, gone with whoever asked for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from cluster.launchers import launcher
from cluster.launchers.head import RayHead
from pipeline.core.errors import StageFailed
from pipeline.core.job import ClusterOptions, Job


def folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("bl-*"))


def test_a_ray_that_does_not_start_is_one_sentence(tmp_path: Path) -> None:
    cpus: Any = "many"
    with (
        RayHead(cpus, tmp_path / "ray.log") as head,
        pytest.raises(StageFailed, match=r"ray\.log\. cluster\.launcher=loc"),
    ):
        head.address()
    assert "ValueError" in (tmp_path / "ray.log").read_text()


def test_what_was_never_asked_for_is_never_started(tmp_path: Path) -> None:
    with RayHead(2, tmp_path / "ray.log"):
        pass
    assert not (tmp_path / "ray.log").exists()


@pytest.mark.long
def test_stages_join_one_ray_and_it_leaves_nothing_behind(members: str, job: Job, tmp_path: Path) -> None:
    before = folders()
    with RayHead(2, tmp_path / "ray.log") as head:
        ray = launcher(ClusterOptions(launcher="ray", workers=2, head=head.address()))
        ray.gang(f"{members}:say", {"folder": str(tmp_path)}, sizes=[2], job=job)
        assert (tmp_path / "rank-1").read_text() == "1 of 2, 1 thread"
        assert ray.tasks(f"{members}:double", [{"n": n} for n in range(3)], job=job) == [
            {"twice": n} for n in (0, 2, 4)
        ]
        assert "printed by 1" in job.log.read_text() and folders() - before
    assert not folders() - before


@pytest.mark.long
def test_it_ends_with_whoever_started_it_and_starts_again_when_it_was_killed(tmp_path: Path) -> None:
    before = folders()
    code = (
        "import sys\nfrom pathlib import Path\nfrom cluster.launchers.head import RayHead\n"
        f"head = RayHead(2, Path({str(tmp_path / 'ray.log')!r}))\nfirst = head.address()\n"
        "assert head.address() == first\nhead._process.kill()\nhead._process.wait()\n"
        "print(first != head.address(), flush=True)\nsys.stdin.read()"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert starter.stdout and starter.stdout.readline() == "True\n"
    os.kill(starter.pid, signal.SIGKILL)
    starter.communicate()
    deadline = time.monotonic() + 30
    while (left := folders() - before) and time.monotonic() < deadline:
        time.sleep(0.2)
    # the first one was killed: its folder goes when the next Ray starts, as that of any killed run
    assert not left
