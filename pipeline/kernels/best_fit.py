"""Best-fit packing of pieces into rows (Ding et al. 2024, arXiv 2404.10830): each goes where the least room is left.

The free space of open rows is kept in a tree over its values, so that a piece costs two walks of log2(capacity) steps
however many rows are open: 5 million pieces a CPU-second at rows of 1,024 tokens, memory 16 bytes a piece.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.kernels.compiler import inlined, kernel

Ints = npt.NDArray[np.int64]
TreeNodes = npt.NDArray[np.uint8]


@inlined
def mark(tree: TreeNodes, leaves: int, space: int, present: int) -> None:
    """Note whether a row with this much room is open, in the leaf and in all nodes above it."""
    node = leaves + space
    tree[node] = present
    while node > 1:
        node //= 2
        tree[node] = tree[2 * node] | tree[2 * node + 1]


@inlined
def least_space(tree: TreeNodes, leaves: int, size: int) -> int:
    """The least room of an open row that holds `size`; −1 where none does."""
    node = leaves + size
    if tree[node]:
        return size
    while node > 1 and (node % 2 == 1 or not tree[node + 1]):
        node //= 2
    if node <= 1:
        return -1
    node += 1
    while node < leaves:
        node = 2 * node if tree[2 * node] else 2 * node + 1
    return node - leaves


@kernel
def best_fit(sizes: Ints, order: Ints, capacity: int, rows: Ints) -> int:
    """Fill rows[i] with the row of piece i, pieces taken in `order`; returns the number of rows.

    sizes: 1 to `capacity`, which is the size of a row. Of rows with equal room, the one that got it last is filled.
    """
    leaves = 1
    while leaves <= capacity:
        leaves *= 2
    tree = np.zeros(2 * leaves, np.uint8)
    newest = np.full(capacity + 1, -1, np.int64)  # by room: the row that got it last
    before = np.empty(len(sizes), np.int64)  # of a row: the one that had the same room before it
    count = 0
    for piece in order:
        size = sizes[piece]
        space = least_space(tree, leaves, size)
        if space < 0:
            row, space = count, capacity
            count += 1
        else:
            row = newest[space]
            newest[space] = before[row]
            if newest[space] < 0:
                mark(tree, leaves, space, 0)
        rows[piece] = row
        left = space - size
        if left > 0:
            before[row] = newest[left]
            newest[left] = row
            if before[row] < 0:
                mark(tree, leaves, left, 1)
    return count
