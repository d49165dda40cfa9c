"""Count pairs of words in a hash table that is written out as a sorted run when it is full, so memory is bounded.

Memory: 32 bytes per slot, 128 MiB for the largest table. Each worker reuses its table from task to task: the pages of a
new array cost more than what is written into them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from threading import get_ident

import numpy as np
from numpy.typing import NDArray

from pipeline.counts.section import Count
from pipeline.counts.vocabulary import CountedWords
from pipeline.counts.weights import weights_by_distance
from pipeline.kernels.cooccurrence import COUNTED, EMPTY, FILLED, MAX_LOAD, NEXT, USED, count, drain, sort

KeySums = tuple[NDArray[np.uint64], NDArray[np.uint64]]
"""Keys (word << bits | context) and sums; entry i of both is one pair."""

SLOTS = 1 << 22


def sorted_runs(
    tokens: NDArray[np.int32], before: NDArray[np.int32], vocabulary: CountedWords, section: Count
) -> Iterator[tuple[KeySums, int]]:
    """The pairs of a range of tokens, in runs sorted by key, each with the number of words that were counted for it.

    `before`: the words before the range that are in the windows of its first words. The memory of a run is reused for
    the next one.
    """
    by_distance, at = weights_by_distance(section), 0
    last, state = np.zeros(section.window, np.int32), np.zeros(4, np.int64)
    last[: len(before)] = before
    state[NEXT], state[FILLED] = len(before) % section.window, len(before)
    pair_table = _table_of_thread(_slots(len(tokens), section), get_ident())
    while at < len(tokens):
        pair_table.table[:, 0], state[USED], state[COUNTED] = EMPTY, 0, 0
        at = count(
            tokens,
            at,
            vocabulary.numbers,
            by_distance,
            last,
            state,
            pair_table.table,
            vocabulary.bits,
            section.symmetric,
        )
        yield pair_table.sorted_run(vocabulary.bits, symmetric=section.symmetric), int(state[COUNTED])


def _slots(tokens: int, section: Count) -> int:
    """A power of two: enough slots for the largest possible number of pairs, up to SLOTS."""
    least_slots = max(int(tokens * section.window / MAX_LOAD), int(section.window / MAX_LOAD)) + 2
    return min(SLOTS, 1 << least_slots.bit_length())


class _PairTable:
    """A hash table of pairs, and buffers for the sorted run of everything it can hold, mirrored pairs included."""

    def __init__(self, slots: int) -> None:
        self.table = np.empty((slots, 2), np.uint64)
        self.keys, self.sums = np.empty(slots, np.uint64), np.empty(slots, np.uint64)

    def sorted_run(self, bits: int, *, symmetric: bool) -> KeySums:
        """Move the pairs out of the table and sort them; the memory of the table is the second buffer of the sort."""
        cells = drain(self.table, bits, symmetric, self.keys, self.sums)
        keys, sums = self.keys[:cells], self.sums[:cells]
        spare_keys, spare_sums = self.table.reshape(2, -1)[:, :cells]
        return (spare_keys, spare_sums) if sort(keys, sums, spare_keys, spare_sums, 2 * bits) else (keys, sums)


@lru_cache(maxsize=64)
def _table_of_thread(slots: int, thread: int) -> _PairTable:
    """The table of a thread."""
    return _PairTable(slots)
