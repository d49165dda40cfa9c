"""Nobody reads any more, a stream was closed, a disk is full: one sentence or none, no traceback, nothing lost."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

COMMAND = f"{sys.executable} -P main.py"


def shell(folder: Any, line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", line], cwd=folder.path, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["plan tiny.yaml", "--help", "run tiny.yaml"])
def test_a_reader_that_leaves_is_no_error(folder: Any, command: str) -> None:
    done = shell(folder, f"{COMMAND} {command} | head -0")
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr
    if command.startswith("run"):
        assert sorted(folder.published()) == ["gather", "judge", "sift", "teach"]


def test_a_run_whose_output_is_closed_does_its_work(folder: Any) -> None:
    done = shell(folder, f"{COMMAND} run tiny.yaml >&- 2>&-")
    assert done.returncode == 0
    assert sorted(folder.published()) == ["gather", "judge", "sift", "teach"]
    assert "gather prints to the log" in folder.read("work/runs/*/log.txt")


def test_a_run_whose_output_is_full_does_its_work(folder: Any) -> None:
    done = shell(folder, f"{COMMAND} run tiny.yaml > /dev/full")
    assert "Traceback" not in done.stderr
    assert sorted(folder.published()) == ["gather", "judge", "sift", "teach"]


def test_a_full_disk_under_the_run_directory_is_one_sentence_and_the_command_that_goes_on(folder: Any) -> None:
    text = (folder.path / "main.py").read_text()
    full = """\
import cluster.run, errno
written = cluster.run.Run.event
def event(self, kind, **fields):
    if kind in ("stage_done", "failed"):
        raise OSError(errno.ENOSPC, "No space left on device", str(self.path / "events.jsonl"))
    written(self, kind, **fields)
cluster.run.Run.event = event
"""
    (folder.path / "main.py").write_text(
        text.replace("from cluster.cli import main", full + "from cluster.cli import main")
    )
    printed = folder.run("run", "tiny.yaml", "sift.longest=5", code=1)
    assert "gather: no space left on the disk (" in printed and "events.jsonl)" in printed
    assert printed.strip().splitlines()[-1] == "bloomery run tiny.yaml sift.longest=5"
    assert "Traceback" not in printed and list(folder.published()) == ["gather"]


@pytest.mark.parametrize("kilobytes", [150_000, 300_000])
def test_too_little_address_space_is_one_sentence(folder: Any, kilobytes: int) -> None:
    done = shell(folder, f"ulimit -v {kilobytes}; {sys.executable} -m cluster.cli check tiny.yaml")
    assert done.returncode == 2
    assert done.stderr.startswith("ulimit -v allows "), done.stderr
    assert "Raise it (ulimit -v unlimited)" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
