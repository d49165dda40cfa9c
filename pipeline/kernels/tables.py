"""A hash table over positions, for kernels: which of n hashes stood before. Linear in n; no memory is asked for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.kernels.compiler import inlined
from pipeline.kernels.points import Whole
from pipeline.text.unicode import Bytes

Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int32]


class Slots(NamedTuple):
    """`table`: a position at each slot, −1 empty (a power of two of them); `again[i]`: an equal hash stood before i."""

    table: Ints
    again: Bytes


def room(most: int) -> Slots:
    """Scratch for up to `most` hashes."""
    return Slots(np.empty(max(8, 1 << (2 * most - 1).bit_length()), np.int32), np.empty(most, np.uint8))


@inlined
def clear(table: Ints, n: Whole) -> np.uint64:
    """Empty as much of the table as n hashes need, at most half full; returns the mask of its slots."""
    size = 8
    while size < 2 * n:
        size *= 2
    table[:size] = -1
    return np.uint64(size - 1)


@inlined
def first_seen(hashes: Hashes, n: Whole, slots: Slots) -> None:
    """Fill `slots.again` for hashes[:n]."""
    mask = clear(slots.table, n)
    for i in range(n):
        slot = hashes[i] & mask
        while slots.table[slot] >= 0 and hashes[slots.table[slot]] != hashes[i]:
            slot = (slot + np.uint64(1)) & mask
        slots.again[i] = slots.table[slot] >= 0
        if not slots.again[i]:
            slots.table[slot] = i
