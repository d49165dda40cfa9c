"""Checkpoints: what a run needs to resume, with the same bits if the number of workers is the same.

    checkpoints/00000600/rank-00000.pt …    one file a worker: its share of weights and optimizer, its random state
    checkpoints/00000600.json               written last, by rename; names every file and its size

Everything is in the attempt's own folder, so a process that outlives its attempt overwrites nothing. Another number
of workers, or another engine, can resume from the same files (engines/layout.py).
"""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from pipeline.core.files import read_json, replacing, write_json
from pipeline.core.numerics import ModelNumerics

FOLDER = "checkpoints"

SavedState: TypeAlias = dict[str, Any]
"""What a worker's file holds: tensors and plain values by name, nested. Each trainer knows its own names."""


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint after `step` steps, which were computed in the class `numerics`."""

    folder: Path
    step: int
    numerics: ModelNumerics
    files: dict[str, int]

    def load(self, rank: int) -> SavedState:
        """One worker's file, memory-mapped: tensors that are not used are not read."""
        path = self.folder / _name(rank)
        state: SavedState = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        return state

    @property
    def world(self) -> int:
        return len(self.files)


def write(folder: Path, step: int, rank: int, state: SavedState) -> None:
    """Write this worker's file. The checkpoint is valid once `finish` is called, after every worker has written."""
    inside = folder / FOLDER / f"{step:08d}"
    inside.mkdir(parents=True, exist_ok=True)
    with replacing(inside / _name(rank)) as beside:
        torch.save({**state, "random": random_state()}, beside)


def finish(folder: Path, step: int, *, world: int, numerics: ModelNumerics, keep: int) -> int:
    """Mark a checkpoint as complete and delete all but the last `keep`; one worker calls it, after all have written.

    Returns its size in bytes.
    """
    inside = folder / FOLDER / f"{step:08d}"
    files = {_name(rank): (inside / _name(rank)).stat().st_size for rank in range(world)}
    write_json(inside.with_suffix(".json"), {"step": step, "numerics": numerics, "files": files})
    for marker in _markers(folder)[keep:]:
        marker.unlink(missing_ok=True)  # first: a half deleted checkpoint must not look complete
        shutil.rmtree(marker.with_suffix(""), ignore_errors=True)
    return sum(files.values())


def newest(folder: Path) -> Checkpoint | None:
    """The last checkpoint whose files all exist in their full size, or None."""
    for marker in _markers(folder):
        saved = read_json(marker)
        inside = marker.with_suffix("")
        sizes = {name: (inside / name).stat().st_size if (inside / name).exists() else -1 for name in saved["files"]}
        if sizes == saved["files"]:
            return Checkpoint(inside, saved["step"], saved["numerics"], saved["files"])
    return None


def random_state() -> SavedState:
    """The states of all random generators that training may use."""
    version, words, gauss = random.getstate()
    numpy_state = np.random.get_state(legacy=False)
    state: SavedState = {"python": [version, list(words), gauss], "torch": torch.get_rng_state()}
    state["numpy"] = {**numpy_state, "state": {**numpy_state["state"], "key": numpy_state["state"]["key"].tolist()}}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: SavedState) -> None:
    """Set all random generators to the states that `random_state` returned."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    key = np.array(state["numpy"]["state"]["key"], np.uint32)
    np.random.set_state({**state["numpy"], "state": {**state["numpy"]["state"], "key": key}})
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def seed(number: int, rank: int) -> None:
    """Seed every generator from (seed, rank): workers draw different numbers, runs the same ones."""
    mixed = int.from_bytes(np.random.SeedSequence([number, rank]).generate_state(2, np.uint32).tobytes(), "little")
    random.seed(mixed)
    np.random.seed(mixed % (1 << 32))
    torch.manual_seed(mixed % (1 << 63))


def _markers(folder: Path) -> list[Path]:
    return sorted((folder / FOLDER).glob("*.json"), reverse=True)


def _name(rank: int) -> str:
    return f"rank-{rank:05d}.pt"
