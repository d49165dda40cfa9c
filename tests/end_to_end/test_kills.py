"""Killed anywhere, nothing lost: the same command goes on, and every byte is that of a run never disturbed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

STAGES = ["ingest", "signals", "clean", "dedupe", "tokenizer", "pack", "pretrain", "evaluate", "export"]
Begin = Callable[..., "subprocess.Popen[str]"]


def in_the_middle(workdir: Path, stage: str) -> bool:
    """A part of the stage is finished and the whole is not; a stage of one piece has at least begun."""
    drafts = workdir / "draft" / stage
    if stage == "pretrain":
        return any(drafts.glob("*/attempt-*/checkpoints/*/*.json"))
    if stage in ("tokenizer", "evaluate", "export"):
        return any(drafts.glob("*/current"))
    return any(drafts.glob("*/attempt-*/tasks/*/*.json"))


def kill_in(stage: str, workdir: Path, path: Path, begin: Begin) -> bool:
    """Run until the middle of `stage`, then kill -9 the process group; False if the stage was over too soon to hit."""
    process = begin("run", path)
    deadline = time.monotonic() + 240
    published = workdir / "store" / stage
    while time.monotonic() < deadline and process.poll() is None:
        if in_the_middle(workdir, stage):
            break
        if published.exists() and any(published.glob("*/manifest.json")):
            break
        time.sleep(0.005)
    hit = not any(published.glob("*/manifest.json"))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return hit


@pytest.mark.long
def test_a_kill_in_every_stage_changes_no_byte(
    tmp_path: Path, config: Callable[..., Path], bloomery: Callable[..., str], begin: Begin,
    digests: Callable[[Path], dict[str, str]],
) -> None:  # fmt: skip
    bloomery("run", config("calm", beam=2))
    path = config("killed", beam=2)
    hits = [stage for stage in STAGES if kill_in(stage, tmp_path / "killed", path, begin)]
    # the next start follows at once, while workers of the killed one may still live
    printed = bloomery("run", path)
    assert "resum" in printed or hits[-1] in printed
    assert len(hits) >= 6, f"too few kills met their stage: {hits}"
    assert "pretrain" in hits
    assert digests(tmp_path / "killed") == digests(tmp_path / "calm")


@pytest.mark.long
def test_a_kill_under_ray_and_zero_changes_no_byte(
    tmp_path: Path, config: Callable[..., Path], bloomery: Callable[..., str], begin: Begin,
    digests: Callable[[Path], dict[str, str]],
) -> None:  # fmt: skip
    options = {"engine": "{zero: {stage: 2}}", "launcher": "ray", "workers": 2}
    bloomery("run", config("calm", **options), "--to", "pretrain")
    path = config("killed", **options)
    bloomery("run", path, "--to", "pack")
    assert kill_in("pretrain", tmp_path / "killed", path, begin)
    bloomery("run", path, "--to", "pretrain")
    assert digests(tmp_path / "killed") == digests(tmp_path / "calm")


@pytest.mark.long
def test_a_second_start_while_the_first_runs_is_refused_and_names_the_holder(
    tmp_path: Path, config: Callable[..., Path], bloomery: Callable[..., str], begin: Begin
) -> None:
    path = config("one")
    first = begin("run", path, "--to", "ingest")
    while first.poll() is None and not (tmp_path / "one" / "draft").exists():
        time.sleep(0.01)
    printed = bloomery("run", path, code=1)
    assert str(first.pid) in printed
    first.communicate()
    assert first.returncode == 0
