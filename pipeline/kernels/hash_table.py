"""A hash table of positions, which finds repeated hashes among n. Linear in n; it allocates no memory."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.kernels.code_points import Integer
from pipeline.kernels.compiler import inlined
from pipeline.text.unicode import Bytes

Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int32]


class Slots(NamedTuple):
    """`table`: a position in each slot, −1 if empty; its size is a power of two. `repeated[i]`: hash i occurred before
    position i."""

    table: Ints
    repeated: Bytes


def scratch(most: int) -> Slots:
    """Allocate scratch space for up to `most` hashes."""
    return Slots(np.empty(max(8, 1 << (2 * most - 1).bit_length()), np.int32), np.empty(most, np.uint8))


@inlined
def clear(table: Ints, n: Integer) -> np.uint64:
    """Clear the part of the table that n hashes need to keep it at most half full. Returns the mask of its slots."""
    size = 8
    while size < 2 * n:
        size *= 2
    table[:size] = -1
    return np.uint64(size - 1)


@inlined
def mark_repeats(hashes: Hashes, n: Integer, slots: Slots) -> None:
    """Fill `slots.repeated` for hashes[:n]."""
    mask = clear(slots.table, n)
    for i in range(n):
        slot = hashes[i] & mask
        while slots.table[slot] >= 0 and hashes[slots.table[slot]] != hashes[i]:
            slot = (slot + np.uint64(1)) & mask
        slots.repeated[i] = slots.table[slot] >= 0
        if not slots.repeated[i]:
            slots.table[slot] = i
