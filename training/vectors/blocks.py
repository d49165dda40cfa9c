"""A block's own copy of the rows it touches, what it changed in them, and how the changes of all blocks meet.

Every block of a step starts from the same table, so blocks can be computed anywhere and in any order. Afterwards their
changes are added block after block; a row is added up by one worker, so the sum is the same however many there are.
A pass over a row costs about 30 ns at 100 numbers; there are three: copied out, compared, added.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.vectors.compiler import inlined, kernel
from training.vectors.lanes import LANES, fma, load, splat, store

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]


@kernel
def copy_out(table: Floats, stride: int, members: Ints, count: int, own: Floats) -> None:
    """own[i] = table[members[i]], and a blank row after the last."""
    for index in range(count):
        place, here = np.int64(members[index]) * stride, index * stride
        for at in range(0, stride, LANES):
            store(own, here + at, load(table, place + at))
    for at in range(0, stride, LANES):
        store(own, count * stride + at, splat(0.0))


@kernel
def compare(table: Floats, stride: int, members: Ints, count: int, own: Floats) -> None:
    """own[i] -= table[members[i]]: what was changed."""
    minus = splat(-1.0)
    for index in range(count):
        place, here = np.int64(members[index]) * stride, index * stride
        for at in range(0, stride, LANES):
            store(own, here + at, fma(minus, load(table, place + at), load(own, here + at)))


@kernel
def tally(members: Ints, visits: Ints, count: int, blocks: Ints, total: Ints) -> None:
    """Count for each row the blocks that hold it, and its visits in them."""
    for index in range(count):
        blocks[members[index]] += 1
        total[members[index]] += visits[index]


@kernel
def clear(members: Ints, count: int, blocks: Ints, total: Ints) -> None:
    """Undo `tally`."""
    for index in range(count):
        blocks[members[index]] = total[members[index]] = 0


@inlined
def share_of(blocks: int, visits: int, pull: float) -> float:
    """The part of a row's summed changes that is made: from all of it (seldom visited) to the mean of the blocks.

    A row is held by a spring: visits that follow one another bring it nearer and nearer to one place. Blocks that begin
    alike each go the first part of the way, and their sum would throw a row beyond it that is visited often enough to
    arrive within a block. With x = pull × visits this is near (1 - exp(-x)) / (blocks (1 - exp(-x / blocks))), what
    blocks one after the other would have come to, without an exponential's cost and last bits.
    """
    pulled = pull * visits
    return (1.0 + pulled / blocks) / (1.0 + pulled)


@kernel
def merge(
    table: Floats, stride: int, members: Ints, count: int, changes: Floats, blocks: Ints, total: Ints, pull: float,
    rank: int, world: int,
) -> None:  # fmt: skip
    """table[members[i]] += share × changes[i] for the rows that are this worker's: every `world`-th, from `rank`."""
    for index in range(count):
        member = members[index]
        if member % world == rank:
            place, here = np.int64(member) * stride, index * stride
            share = splat(np.float32(share_of(blocks[member], total[member], pull)))
            for at in range(0, stride, LANES):
                store(table, place + at, fma(share, load(changes, here + at), load(table, place + at)))
