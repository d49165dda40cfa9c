"""A hash table of positions, which finds repeated hashes among n. Linear in n; it allocates and clears nothing.

A slot holds `base` + a position. Each use of the table begins at a base above all that was written before, so that
whatever an earlier use left in a slot counts as empty.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.kernels.code_points import Integer
from pipeline.kernels.compiler import bare_inlined, bare_inner
from pipeline.text.unicode import Bytes

Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int32]
LARGEST_BASE = 1 << 30  # the table is cleared when the base passes it


class PositionTable(NamedTuple):
    """`table`: `base` + a position in each slot; its size is a power of two. `next_base`: one number."""

    table: Ints
    next_base: npt.NDArray[np.int64]


class Slots(NamedTuple):
    """`repeated[i]`: hash i occurred before position i."""

    positions: PositionTable
    repeated: Bytes


def positions_scratch(most: int) -> PositionTable:
    """Allocate a table for up to `most` hashes at a time; pages that are never used take no memory."""
    return PositionTable(np.zeros(max(8, 1 << (2 * most - 1).bit_length()), np.int32), np.ones(1, np.int64))


def scratch(most: int) -> Slots:
    """Allocate scratch space for up to `most` hashes."""
    return Slots(positions_scratch(most), np.empty(most, np.uint8))


@bare_inner
def begin(positions: PositionTable, n: Integer, largest: Integer) -> tuple[np.uint64, Integer]:
    """Begin a use for n hashes at positions below `largest`. Returns the mask of the slots that keep the table at most
    half full, and the base."""
    size = 8
    while size < 2 * n:
        size *= 2
    if positions.next_base[0] > LARGEST_BASE:
        positions.table[:] = 0
        positions.next_base[0] = 1
    base = positions.next_base[0]
    positions.next_base[0] = base + largest
    return np.uint64(size - 1), base


@bare_inlined
def first_position(
    hashes: Hashes, i: Integer, slot: np.uint64, positions: PositionTable, mask: np.uint64, base: Integer
) -> np.uint64:
    """The first position with the hash of position i, which is i itself if the hash is new; the look-up begins at
    `slot`. Positions must come in ascending order: an empty slot then reads as a number above i, whose minimum with i
    is i, so that a new and a known hash take the same path, without a branch that cannot be predicted."""
    at = np.uint64(i)
    first = min(np.uint64(np.int64(positions.table[slot]) - base), at)
    while hashes[first] != hashes[at]:
        slot = (slot + np.uint64(1)) & mask
        first = min(np.uint64(np.int64(positions.table[slot]) - base), at)
    positions.table[slot] = np.int64(first) + base
    return first


@bare_inlined
def is_recorded(
    value: np.uint64, hashes: Hashes, slot: np.uint64, positions: PositionTable, mask: np.uint64, base: Integer
) -> Integer:
    """Whether the hash `value` occurred in this use of the table."""
    while positions.table[slot] >= base:
        if hashes[positions.table[slot] - base] == value:
            return True
        slot = (slot + np.uint64(1)) & mask
    return False


@bare_inner
def mark_repeats(hashes: Hashes, n: Integer, slots: Slots) -> None:
    """Fill `slots.repeated` for hashes[:n]."""
    mask, base = begin(slots.positions, n, n)
    for i in range(n):
        slots.repeated[i] = first_position(hashes, i, hashes[i] & mask, slots.positions, mask, base) < np.uint64(i)
