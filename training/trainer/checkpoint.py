"""Checkpoints: what a run needs to go on as if nothing had happened, bit for bit at the same number of workers.

    checkpoints/00000600/rank-00000.pt …    a file a worker: its share of weights and optimizer, its random state
    checkpoints/00000600.json               written last, by rename: it is whole; names every file and its size

Everything lies in the attempt's own folder, so a process that outlives its attempt overwrites nothing. Another number
of workers, or another engine, goes on from the same files (engines/share.py).
"""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.core.files import read_json, replacing, write_json

FOLDER = "checkpoints"


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint: `step` steps are done; `numerics` is the class they were done in."""

    folder: Path
    step: int
    numerics: dict[str, Any]
    files: dict[str, int]

    def load(self, rank: int) -> dict[str, Any]:
        """One worker's file, mapped: what is not used is not read."""
        path = self.folder / _name(rank)
        found: dict[str, Any] = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        return found

    @property
    def world(self) -> int:
        return len(self.files)


def write(folder: Path, step: int, rank: int, state: dict[str, Any]) -> None:
    """Write this worker's file; `finish` makes the checkpoint count, once every worker has written."""
    inside = folder / FOLDER / f"{step:08d}"
    inside.mkdir(parents=True, exist_ok=True)
    with replacing(inside / _name(rank)) as beside:
        torch.save({**state, "random": random_state()}, beside)


def finish(folder: Path, step: int, *, world: int, numerics: dict[str, Any], keep: int) -> None:
    """Mark a checkpoint as whole and let go of all but the last `keep`: one worker calls it, after all have written."""
    inside = folder / FOLDER / f"{step:08d}"
    files = {_name(rank): (inside / _name(rank)).stat().st_size for rank in range(world)}
    write_json(inside.with_suffix(".json"), {"step": step, "numerics": numerics, "files": files})
    for marker in _markers(folder)[keep:]:
        marker.unlink(missing_ok=True)  # first: what is half deleted must not look whole
        shutil.rmtree(marker.with_suffix(""), ignore_errors=True)


def newest(folder: Path) -> Checkpoint | None:
    """The last checkpoint of which every file is there in its full size, or None."""
    for marker in _markers(folder):
        found, inside = read_json(marker), marker.with_suffix("")
        sizes = {name: (inside / name).stat().st_size if (inside / name).exists() else -1 for name in found["files"]}
        if sizes == found["files"]:
            return Checkpoint(inside, found["step"], found["numerics"], found["files"])
    return None


def random_state() -> dict[str, Any]:
    """The state of every random generator that training may draw from."""
    version, words, gauss = random.getstate()
    numpy_state = np.random.get_state(legacy=False)
    kept = {"python": [version, list(words), gauss], "torch": torch.get_rng_state()}
    kept["numpy"] = {**numpy_state, "state": {**numpy_state["state"], "key": numpy_state["state"]["key"].tolist()}}
    if torch.cuda.is_available():
        kept["cuda"] = torch.cuda.get_rng_state()
    return kept


def set_random_state(kept: dict[str, Any]) -> None:
    """Go on drawing where `random_state` was taken."""
    version, words, gauss = kept["python"]
    random.setstate((version, tuple(words), gauss))
    key = np.array(kept["numpy"]["state"]["key"], np.uint32)
    np.random.set_state({**kept["numpy"], "state": {**kept["numpy"]["state"], "key": key}})
    torch.set_rng_state(kept["torch"])
    if "cuda" in kept and torch.cuda.is_available():
        torch.cuda.set_rng_state(kept["cuda"])


def seed(number: int, rank: int) -> None:
    """Start every generator from (seed, rank): workers draw differently, runs alike."""
    mixed = int.from_bytes(np.random.SeedSequence([number, rank]).generate_state(2, np.uint32).tobytes(), "little")
    random.seed(mixed)
    np.random.seed(mixed % (1 << 32))
    torch.manual_seed(mixed % (1 << 63))


def _markers(folder: Path) -> list[Path]:
    return sorted((folder / FOLDER).glob("*.json"), reverse=True)


def _name(rank: int) -> str:
    return f"rank-{rank:05d}.pt"
