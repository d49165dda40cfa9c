"""Checkpoints: whole or not there, the last few kept, and random numbers that go on where they stopped."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch

from training.trainer import checkpoint


def written(folder: Path, step: int, *, world: int = 2, keep: int = 2) -> None:
    for rank in range(world):
        checkpoint.write(folder, step, rank, {"engine": {"held": []}, "number": step * 10 + rank})
    checkpoint.finish(folder, step, world=world, numerics={"workers": world}, keep=keep)


def test_the_newest_whole_checkpoint_is_found(tmp_path: Path) -> None:
    assert checkpoint.newest(tmp_path) is None
    written(tmp_path, 4)
    written(tmp_path, 12)
    saved = checkpoint.newest(tmp_path)
    assert saved is not None and saved.step == 12 and saved.world == 2 and saved.numerics == {"workers": 2}
    assert [saved.load(rank)["number"] for rank in (0, 1)] == [120, 121]


def test_what_is_not_marked_or_not_complete_does_not_count(tmp_path: Path) -> None:
    written(tmp_path, 4)
    written(tmp_path, 8)
    checkpoint.write(tmp_path, 12, 0, {})  # killed before the others had written
    (tmp_path / "checkpoints" / "00000008" / "rank-00001.pt").unlink()  # half deleted, or half linked
    saved = checkpoint.newest(tmp_path)
    assert saved is not None and saved.step == 4


def test_only_the_last_ones_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        written(tmp_path, step, keep=2)
    left = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert left == ["00000003", "00000003.json", "00000004", "00000004.json"]


def test_random_numbers_go_on_where_they_stopped(tmp_path: Path) -> None:
    def draw() -> list[float]:
        return [random.gauss(0, 1), float(np.random.normal()), torch.randn(()).item()]

    checkpoint.seed(17, 1)
    first = draw()
    checkpoint.write(tmp_path, 1, 0, {})
    checkpoint.finish(tmp_path, 1, world=1, numerics={}, keep=1)
    expected = draw()
    checkpoint.seed(99, 0)
    saved = checkpoint.newest(tmp_path)
    assert saved is not None
    checkpoint.set_random_state(saved.load(0)["random"])
    assert draw() == expected
    checkpoint.seed(17, 1)
    assert draw() == first
    checkpoint.seed(17, 2)
    assert draw() != first, "workers draw differently"
