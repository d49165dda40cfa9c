"""A table of pairs that leaves as an ordered list (a run) when it is full: memory is bounded, whatever the corpus.

Memory: 32 bytes a slot, 128 MiB for the largest table, held by each worker from task to task: the pages of a new array
cost more than what is written into them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from threading import get_ident

import numpy as np
from numpy.typing import NDArray

from pipeline.counts.section import Count
from pipeline.counts.vocabulary import WordTable
from pipeline.counts.weights import weights
from pipeline.kernels.cooccurrence import COUNTED, EMPTY, FILLED, MAX_LOAD, NEXT, USED, count, drain, sort

KeySums = tuple[NDArray[np.uint64], NDArray[np.uint64]]
"""Keys (word << bits | context) and sums, one of each a pair."""

SLOTS = 1 << 22


def runs(
    tokens: NDArray[np.int32], before: NDArray[np.int32], vocabulary: WordTable, section: Count
) -> Iterator[tuple[KeySums, int]]:
    """The pairs of a stretch of tokens, in runs ordered by key, each with the number of words that it took.

    `before`: the words that stand before the stretch and belong to the windows of its first words. A run lies in
    memory that the next one takes again.
    """
    by_distance, at = weights(section), 0
    last, state = np.zeros(section.window, np.int32), np.zeros(4, np.int64)
    last[: len(before)] = before
    state[NEXT], state[FILLED] = len(before) % section.window, len(before)
    room = _room_of(_slots(len(tokens), section), get_ident())
    while at < len(tokens):
        room.table[:, 0], state[USED], state[COUNTED] = EMPTY, 0, 0
        at = count(
            tokens, at, vocabulary.numbers, by_distance, last, state, room.table, vocabulary.bits, section.symmetric
        )
        yield room.ordered(vocabulary.bits, symmetric=section.symmetric), int(state[COUNTED])


def _slots(tokens: int, section: Count) -> int:
    """A power of two: enough for as many pairs as there can be, up to SLOTS."""
    wanted = max(int(tokens * section.window / MAX_LOAD), int(section.window / MAX_LOAD)) + 2
    return min(SLOTS, 1 << wanted.bit_length())


class _Room:
    """A table and an ordered list of as many pairs as it can hold, mirror images too."""

    def __init__(self, slots: int) -> None:
        self.table = np.empty((slots, 2), np.uint64)
        self.keys, self.sums = np.empty(slots, np.uint64), np.empty(slots, np.uint64)

    def ordered(self, bits: int, *, symmetric: bool) -> KeySums:
        """Empty the table; its memory is the sort's second half."""
        cells = drain(self.table, bits, symmetric, self.keys, self.sums)
        keys, sums = self.keys[:cells], self.sums[:cells]
        spare_keys, spare_sums = self.table.reshape(2, -1)[:, :cells]
        return (spare_keys, spare_sums) if sort(keys, sums, spare_keys, spare_sums, 2 * bits) else (keys, sums)


@lru_cache(maxsize=64)
def _room_of(slots: int, thread: int) -> _Room:
    """One a thread."""
    return _Room(slots)
