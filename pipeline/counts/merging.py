"""Merge many sorted runs of pairs into one, in bounded memory: one block at a time, of all pairs up to a common key.

A run is stored in a file as its keys, then its sums, for each part of the table. Memory is three times MERGE_PAIRS
pairs of 16 bytes, however many runs there are. Costs about 10 ns per pair and per doubling of the number of runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.draft import shorter
from pipeline.core.spill import Segment, write_spill
from pipeline.counts.runs import KeySums
from pipeline.kernels.cooccurrence import merge

MERGE_PAIRS = 1 << 21
PAIR_BYTES = 16


def write_run(folder: Path, file: str, pairs: KeySums, *, parts: NDArray[np.uint64]) -> list[str]:
    """Write a sorted run to folder/file, by rename, split where the keys of each part begin.

    Returns [file], or [] if the run is empty. A part is its keys, then its sums.
    """
    keys, sums = pairs
    edges = [*np.searchsorted(keys, parts).tolist(), len(keys)]
    ranges = list(itertools.pairwise(edges))
    blocks = (values[first:last] for first, last in ranges for values in (keys, sums))
    written = write_spill(folder / file, [PAIR_BYTES * (last - first) for first, last in ranges], blocks)
    return [file] if written else []


@dataclass
class RunReader:
    """Reads a run from a file. `ready`: pairs that are read but not yet merged; `done`: the number of pairs read."""

    path: Path
    offset: int
    length: int  # in pairs
    done: int = 0
    ready: KeySums = (np.empty(0, np.uint64), np.empty(0, np.uint64))

    @classmethod
    def of(cls, segment: Segment) -> RunReader:
        """The run of one part in a file written by `write_run`."""
        return cls(*segment.file(), segment.length // PAIR_BYTES)

    def fill(self, count: int) -> None:
        """Read until `count` pairs are ready, or until the end of the run."""
        more = min(count - len(self.ready[0]), self.length - self.done)
        if more > 0:
            keys, sums = (self._read(part * self.length + self.done, more) for part in (0, 1))
            self.ready = np.concatenate([self.ready[0], keys]), np.concatenate([self.ready[1], sums])
            self.done += more

    def take(self, bound: np.uint64) -> KeySums:
        """Remove and return the ready pairs with keys up to `bound`."""
        count = int(np.searchsorted(self.ready[0], bound, side="right"))
        pairs = self.ready[0][:count], self.ready[1][:count]
        self.ready = self.ready[0][count:], self.ready[1][count:]
        return pairs

    @property
    def ended(self) -> bool:
        """Whether all pairs were read from the file."""
        return self.done == self.length

    def _read(self, place: int, count: int) -> NDArray[np.uint64]:
        values = np.fromfile(self.path, np.uint64, count, offset=self.offset + 8 * place)
        if len(values) != count:
            raise shorter(self.path.name)
        return values


def merge_runs(readers: Sequence[RunReader], *, capacity: int = MERGE_PAIRS) -> Iterator[KeySums]:
    """Blocks of pairs in rising order of keys, each key once with its total. The memory of a block is reused."""
    unfinished = list(readers)
    pairs_per_run = max(1, capacity // max(1, len(readers)))
    buffers = _MergeBuffers()
    while unfinished:
        for reader in unfinished:
            reader.fill(pairs_per_run)
        # a run that is not read to its end may hold any key above the last one read
        open_ends = [reader.ready[0][-1] for reader in unfinished if not reader.ended]
        bound = min(open_ends) if open_ends else max(reader.ready[0][-1] for reader in unfinished)
        yield buffers.merge([reader.take(bound) for reader in unfinished])
        unfinished = [reader for reader in unfinished if len(reader.ready[0]) or not reader.ended]


class _MergeBuffers:
    """Two buffers in which runs are merged in pairs; they are reused from block to block."""

    def __init__(self) -> None:
        self.buffers = [np.empty((2, 0), np.uint64), np.empty((2, 0), np.uint64)]

    def merge(self, runs: list[KeySums]) -> KeySums:
        """Merge neighbouring runs until one is left."""
        total = sum(len(keys) for keys, _ in runs)
        turn = 0
        if self.buffers[0].shape[1] < total:
            self.buffers = [np.empty((2, total), np.uint64) for _ in range(2)]
        while len(runs) > 1:
            runs = self._merge_neighbours(runs, self.buffers[turn])
            turn = 1 - turn
        return runs[0]

    def _merge_neighbours(self, runs: list[KeySums], buffer: NDArray[np.uint64]) -> list[KeySums]:
        merged_runs, at = [], 0
        for left, right in zip(runs[::2], [*runs[1::2], None], strict=False):
            keys, sums = buffer[:, at:]
            if right is None:
                length = len(left[0])
                keys[:length], sums[:length] = left
            else:
                length = merge(*left, *right, keys, sums)
            merged_runs.append((keys[:length], sums[:length]))
            at += length
        return merged_runs
