"""Checkpoints: what a run needs to resume, with the same bits if the number of workers is the same.

    checkpoints/000002-000001/origin                              where this start of the gang resumed from
    checkpoints/000002-000001/00000600/rank-00000.safetensors …   a file a worker: its share of weights and optimizer
    checkpoints/000002-000001/00000600.json                       the marker, written last: every file and its size

The first folder names the attempt and its incarnation (the launcher starts a gang again within an attempt), and only
they write in it. So a gang on a host that was cut off and goes on writing is never read: a later start reads its own
checkpoints, else the one that the start before it had resumed from. Another number of workers, or another engine, can
resume from the same files (engines/layout.py).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from pipeline.core.errors import StageFailed
from pipeline.core.numerics import ModelNumerics
from pipeline.core.shortage import PROBLEMS, shortage_of
from training.trainer.checkpoint_places import CheckpointPlace
from training.trainer.random_state import random_state
from training.trainer.state_file import ByteSource, SavedState, StateFile

ORIGIN = "origin"
START = re.compile(r"\d{6}-\d{6}")  # attempt and incarnation
INCARNATION = "BLOOMERY_INCARNATION"  # set by the launchers: how often they started this gang

Gather = Callable[[int], list[int]]
"""The numbers that all workers passed, by rank; every worker calls it."""


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint of the start `start` after `step` steps, which were computed in the class `numerics`."""

    start: str
    step: int
    numerics: ModelNumerics
    files: dict[str, int]

    @property
    def world(self) -> int:
        return len(self.files)

    @property
    def name(self) -> str:
        return f"{self.start}/{self.step:08d}"


class SavedCheckpoint:
    """The files of a complete checkpoint, for reading."""

    def __init__(self, place: CheckpointPlace, checkpoint: Checkpoint) -> None:
        self.step, self.numerics, self.world = checkpoint.step, checkpoint.numerics, checkpoint.world
        self.sources: list[ByteSource] = [
            place.source(f"{checkpoint.name}/{_name(rank)}") for rank in range(self.world)
        ]
        self._states = [StateFile(source) for source in self.sources]

    def load(self, rank: int) -> SavedState:
        """One worker's file; what is not used of it is not read."""
        return self._states[rank]


@dataclass
class _Pending:
    """A checkpoint whose files are on their way: this worker's, and how large all of them are."""

    checkpoint: Checkpoint
    arrived: Future[None]


class Checkpoints:
    """The checkpoints of one worker's run. Workers call its methods at the same steps; worker 0 writes the markers."""

    def __init__(self, place: CheckpointPlace, *, attempt: int, rank: int, keep: int, back: int | None = None) -> None:
        """`keep`: how many stay; with `back`, also the newest that is at least so many steps older than the newest."""
        incarnation = int(os.environ.get(INCARNATION, "1"))
        self.place, self.rank, self.keep, self.back = place, rank, keep, back
        self.start = f"{attempt:06d}-{incarnation:06d}"
        self._pending: _Pending | None = None
        self.has_earlier_release = False  # nothing but checkpoints of an earlier release, which are not read

    def newest(self) -> Checkpoint | None:
        """The checkpoint to resume from, or None. It is noted as this start's origin, so only worker 0 calls it."""
        everything = self.place.names()
        names = {name for name in everything if START.fullmatch(_start_of(name))}
        selected = self._newest(names)
        self.has_earlier_release = selected is None and len(names) < len(everything)
        if selected is None or selected.start != self.start:
            origin = None if selected is None else asdict(selected)
            self.place.put(f"{self.start}/{ORIGIN}", json.dumps(origin, indent=2).encode())
        return selected

    def saved(self, checkpoint: Checkpoint) -> SavedCheckpoint:
        """Open a complete checkpoint."""
        return SavedCheckpoint(self.place, checkpoint)

    def save(self, step: int, state: SavedState, *, numerics: ModelNumerics, gather: Gather) -> int:
        """Write this worker's file; returns the size of all files. The checkpoint is complete at once in a folder.

        Behind a URL the files are on their way for a while: then `has_arrived` says of each worker's whether it is
        there, and `complete` is called once all are. The file of the checkpoint before is waited for.

        Raises: StageFailed when there is no room, or a later start of the gang has begun.
        """
        self.wait(gather)
        folder = f"{self.start}/{step:08d}"
        with self._explained(step):
            size, arrived = self.place.write(f"{folder}/{_name(self.rank)}", {**state, "random": random_state()})
        files = {_name(rank): size for rank, size in enumerate(gather(size))}
        self._pending = _Pending(Checkpoint(self.start, step, numerics, files), arrived)
        if not self.place.uploads:
            self.complete()
        return sum(files.values())

    @property
    def has_arrived(self) -> bool:
        """Whether nothing of this worker's is on its way.

        Raises: StageFailed when an upload failed.
        """
        if self._pending is None or not self._pending.arrived.done():
            return self._pending is None
        with self._explained(self._pending.checkpoint.step):
            self._pending.arrived.result()
        return True

    @property
    def is_complete(self) -> bool:
        """Whether the last checkpoint is complete, as far as this worker knows."""
        return self._pending is None

    def complete(self) -> int:
        """All files of the last checkpoint are there: worker 0 marks it as complete, and deletes older ones.

        Returns the bytes of its files, 0 if it was complete before.
        """
        pending, self._pending = self._pending, None
        if pending is None:
            return 0
        size = sum(pending.checkpoint.files.values())
        if self.rank:
            return size
        with self._explained(pending.checkpoint.step):
            names = [name for name in self.place.names() if START.fullmatch(_start_of(name))]
            if later := [name for name in names if _start_of(name) > self.start]:
                raise StageFailed(f"this gang was replaced by a later start ({_start_of(later[-1])}); it ends here.")
            marker = json.dumps(asdict(pending.checkpoint), indent=2, sort_keys=True)
            self.place.put(f"{pending.checkpoint.name}.json", marker.encode())
            self._delete_old([*names, f"{pending.checkpoint.name}.json"])
        return size

    def go_back(self, step: int) -> Checkpoint:
        """The newest complete checkpoint of at most `step` steps; later ones are deleted. Only worker 0 calls it.

        Raises: StageFailed when there is none: an earlier release deleted it.
        """
        names = set(self.place.names())
        starts = sorted({_start_of(name) for name in names if START.fullmatch(_start_of(name))}, reverse=True)
        for marker in (marker for start in starts if start <= self.start for marker in _markers(names, start)):
            if _step_of(marker) > step:  # before its files are overwritten: half new, half old, they would look whole
                self.place.delete(marker)
                continue
            checkpoint = Checkpoint(**json.loads(self.place.read(marker)))
            if self._is_whole(checkpoint, names):
                return checkpoint
        raise StageFailed(
            f"pretrain.anomalies: there is no checkpoint from before step {step:,} to go back to. Write skip, or "
            "train again from the start."
        )

    def wait(self, gather: Gather) -> None:
        """Wait until the last checkpoint is complete; every worker calls it."""
        if self._pending is None:
            return
        with self._explained(self._pending.checkpoint.step):
            self._pending.arrived.result()
        gather(0)
        self.complete()

    def _newest(self, names: set[str]) -> Checkpoint | None:
        for start in sorted({_start_of(name) for name in names if _start_of(name) <= self.start}, reverse=True):
            for marker in _markers(names, start):
                checkpoint = Checkpoint(**json.loads(self.place.read(marker)))
                if self._is_whole(checkpoint, names):
                    return checkpoint
            if f"{start}/{ORIGIN}" in names:
                # it saved nothing of its own; what an earlier start has saved since then does not count
                origin = json.loads(self.place.read(f"{start}/{ORIGIN}"))
                if origin is None:
                    return None
                checkpoint = Checkpoint(**origin)
                if self._is_whole(checkpoint, names):
                    return checkpoint
        return None

    def _is_whole(self, checkpoint: Checkpoint, names: set[str]) -> bool:
        paths = {f"{checkpoint.name}/{name}": size for name, size in checkpoint.files.items()}
        marked = f"{checkpoint.name}.json" in names
        return marked and all(path in names and self.place.source(path).size == size for path, size in paths.items())

    def _delete_old(self, names: list[str]) -> None:
        """Delete all but the last `keep` checkpoints: markers first, a half deleted one must not look complete."""
        starts = sorted({_start_of(name) for name in names}, reverse=True)
        markers = [marker for start in starts for marker in _markers(set(names), start)]
        for marker in self._surplus(markers):
            self.place.delete(marker)
            folder = marker.removesuffix(".json")
            for name in names:
                if name.startswith(f"{folder}/"):
                    self.place.delete(name)

    def _surplus(self, markers: list[str]) -> list[str]:
        """The markers to delete, of all markers, the newest first."""
        surplus = markers[self.keep :]
        if self.back is None:
            return surplus
        limit = _step_of(markers[0]) - self.back
        old_enough = next((marker for marker in markers if _step_of(marker) <= limit), markers[-1])
        return [marker for marker in surplus if marker != old_enough]

    @contextmanager
    def _explained(self, step: int) -> Iterator[None]:
        """Say what was not saved, where and why; what was saved before is kept."""
        try:
            yield
        except StageFailed:
            raise
        except Exception as error:
            shortage = shortage_of(error)
            if shortage is None and not isinstance(error, OSError):
                raise
            reason = PROBLEMS[shortage] if shortage else " ".join(str(error).split())[:200]
            raise StageFailed(
                f"the checkpoint of step {step:,} could not be saved in {self.place}: {reason}. Earlier checkpoints "
                "are kept: free space or check the access, then run the same command again."
            ) from error


def _start_of(name: str) -> str:
    return name.partition("/")[0]


def _step_of(marker: str) -> int:
    return int(marker.rpartition("/")[2].removesuffix(".json"))


def _markers(names: set[str], start: str) -> list[str]:
    """The markers of a start, the newest first."""
    return sorted((name for name in names if _start_of(name) == start and name.endswith(".json")), reverse=True)


def _name(rank: int) -> str:
    return f"rank-{rank:05d}.safetensors"
