"""Copy the rows that a block touches, compute what it changed in them, and merge the changes of all blocks.

Every block of a step starts from the same table, so blocks can be computed anywhere and in any order. Afterwards their
changes are added block after block. One worker adds up a row, so the sum does not depend on the number of workers.
There are three passes over a row: copy out, compare, add. Each costs about 30 ns at 100 numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.vectors.compiler import inlined, kernel
from training.vectors.simd import SIMD_WIDTH, fma, load, splat, store

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]


@kernel
def copy_out(table: Floats, stride: int, members: Ints, count: int, copies: Floats) -> None:
    """copies[i] = table[members[i]], and a blank row after the last."""
    for index in range(count):
        source, offset = np.int64(members[index]) * stride, index * stride
        for at in range(0, stride, SIMD_WIDTH):
            store(copies, offset + at, load(table, source + at))
    for at in range(0, stride, SIMD_WIDTH):
        store(copies, count * stride + at, splat(0.0))


@kernel
def compare(table: Floats, stride: int, members: Ints, count: int, copies: Floats) -> None:
    """copies[i] -= table[members[i]]: the changes."""
    minus = splat(-1.0)
    for index in range(count):
        source, offset = np.int64(members[index]) * stride, index * stride
        for at in range(0, stride, SIMD_WIDTH):
            store(copies, offset + at, fma(minus, load(table, source + at), load(copies, offset + at)))


@kernel
def tally(members: Ints, visits: Ints, count: int, block_counts: Ints, total_visits: Ints) -> None:
    """Count for each row the blocks that hold it, and its visits in them."""
    for index in range(count):
        block_counts[members[index]] += 1
        total_visits[members[index]] += visits[index]


@kernel
def clear(members: Ints, count: int, block_counts: Ints, total_visits: Ints) -> None:
    """Undo `tally`."""
    for index in range(count):
        block_counts[members[index]] = total_visits[members[index]] = 0


@inlined
def damped_share(blocks: int, visits: int, damping: float) -> float:
    """The share of a row's summed changes to apply: all for a row that is seldom visited, else near the blocks' mean.

    Visits one after the other bring a row closer and closer to an equilibrium, as a spring would. Blocks that start
    from the same row each make the first part of that way, so for a row that is visited often enough to arrive within
    one block, their sum would overshoot. With x = damping × visits the share is close to
    (1 - exp(-x)) / (blocks (1 - exp(-x / blocks))), the result of blocks one after the other, without the cost and the
    last bits of an exponential.
    """
    strength = damping * visits
    return (1.0 + strength / blocks) / (1.0 + strength)


@kernel
def merge(
    table: Floats, stride: int, members: Ints, count: int, changes: Floats, block_counts: Ints, total_visits: Ints,
    damping: float, rank: int, world: int,
) -> None:  # fmt: skip
    """table[members[i]] += share × changes[i] for the rows that are this worker's: every `world`-th, from `rank`."""
    for index in range(count):
        member = members[index]
        if member % world == rank:
            source, offset = np.int64(member) * stride, index * stride
            share = splat(np.float32(damped_share(block_counts[member], total_visits[member], damping)))
            for at in range(0, stride, SIMD_WIDTH):
                store(table, source + at, fma(share, load(changes, offset + at), load(table, source + at)))
