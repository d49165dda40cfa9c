"""Many ordered lists of pairs into one, in bounded memory: a block at a time, of all pairs up to a common key.

A list lies in a file as its keys, then its sums, for each part of the table. Memory: ROOM pairs of 16 bytes, three
times over, however many lists there are. About 10 ns a pair and a doubling of the lists.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.spill import Segment, shorter, write_spill
from pipeline.counts.runs import KeySums
from pipeline.kernels.cooccurrence import merge

ROOM = 1 << 21
PAIR_BYTES = 16


def write(folder: Path, file: str, pairs: KeySums, *, parts: NDArray[np.uint64]) -> list[str]:
    """Write an ordered list to folder/file, by rename, cut where each part's keys begin; [file], or [] if it is empty.

    A part is its keys, then its sums.
    """
    keys, sums = pairs
    edges = [*np.searchsorted(keys, parts).tolist(), len(keys)]
    ranges = list(itertools.pairwise(edges))
    blocks = (values[first:last] for first, last in ranges for values in (keys, sums))
    written = write_spill(folder / file, [PAIR_BYTES * (last - first) for first, last in ranges], blocks)
    return [file] if written else []


@dataclass
class RunReader:
    """A list in a file; `ready` is what was read and not yet merged, `done` how much was read."""

    path: Path
    offset: int
    length: int  # in pairs
    done: int = 0
    ready: KeySums = (np.empty(0, np.uint64), np.empty(0, np.uint64))

    @classmethod
    def of(cls, segment: Segment) -> RunReader:
        """The list that a file written by `write` holds of one part."""
        return cls(segment.path, segment.offset, segment.length // PAIR_BYTES)

    def fill(self, wanted: int) -> None:
        """Have `wanted` pairs ready, or all that are left."""
        more = min(wanted - len(self.ready[0]), self.length - self.done)
        if more > 0:
            keys, sums = (self._read(part * self.length + self.done, more) for part in (0, 1))
            self.ready = np.concatenate([self.ready[0], keys]), np.concatenate([self.ready[1], sums])
            self.done += more

    def take(self, bound: np.uint64) -> KeySums:
        """What is ready with keys up to `bound`."""
        count = int(np.searchsorted(self.ready[0], bound, side="right"))
        taken = self.ready[0][:count], self.ready[1][:count]
        self.ready = self.ready[0][count:], self.ready[1][count:]
        return taken

    @property
    def ended(self) -> bool:
        """Whether nothing is left in the file."""
        return self.done == self.length

    def _read(self, place: int, count: int) -> NDArray[np.uint64]:
        values = np.fromfile(self.path, np.uint64, count, offset=self.offset + 8 * place)
        if len(values) != count:
            raise shorter(self.path)
        return values


def merged(sources: Sequence[RunReader], *, room: int = ROOM) -> Iterator[KeySums]:
    """Blocks of pairs in rising order of keys, each key once, its sums added up; a block's memory is used again."""
    waiting, each, rooms = list(sources), max(1, room // max(1, len(sources))), _Rooms()
    while waiting:
        for source in waiting:
            source.fill(each)
        # a file that goes on may hold any key above the last one that was read of it
        open_ends = [source.ready[0][-1] for source in waiting if not source.ended]
        bound = min(open_ends) if open_ends else max(source.ready[0][-1] for source in waiting)
        yield rooms.join([source.take(bound) for source in waiting])
        waiting = [source for source in waiting if len(source.ready[0]) or not source.ended]


class _Rooms:
    """Memory for lists that are merged two by two, kept from block to block."""

    def __init__(self) -> None:
        self.held = [np.empty((2, 0), np.uint64), np.empty((2, 0), np.uint64)]

    def join(self, lists: list[KeySums]) -> KeySums:
        """Merge neighbours until one list is left."""
        total, turn = sum(len(keys) for keys, _ in lists), 0
        if self.held[0].shape[1] < total:
            self.held = [np.empty((2, total), np.uint64) for _ in range(2)]
        while len(lists) > 1:
            lists, turn = self._round(lists, self.held[turn]), 1 - turn
        return lists[0]

    def _round(self, lists: list[KeySums], into: NDArray[np.uint64]) -> list[KeySums]:
        lists_merged, at = [], 0
        for one, other in zip(lists[::2], [*lists[1::2], None], strict=False):
            keys, sums = into[:, at:]
            if other is None:
                length = len(one[0])
                keys[:length], sums[:length] = one
            else:
                length = merge(*one, *other, keys, sums)
            lists_merged.append((keys[:length], sums[:length]))
            at += length
        return lists_merged
