"""Hierarchical softmax: the Huffman tree of the words, and windows whose targets are the nodes on a word's path.

A word is predicted as a row of yes-or-no questions, one at each inner node between the root and its leaf (Morin and
Bengio 2005; Mikolov et al. 2013, arXiv 1301.3781): frequent words have short paths. The tree stores the
parent of each node, 5 bytes a node, and a path is climbed when it is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.vectors.compiler import kernel
from training.vectors.windows import BORDER, GOLDEN, around, mixed

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class HuffmanTree:
    """Nodes 0 … n - 1 are leaves, n … 2n - 2 inner nodes, the last the root; `right[i]`: i is a second child."""

    leaves: Ints  # of each token its leaf, or -1
    parents: Ints
    right: NDArray[np.int8]
    depth: int  # of the deepest leaf

    @property
    def inner(self) -> int:
        return len(self.parents) // 2


def huffman(counts: NDArray[np.int64]) -> HuffmanTree:
    """The tree over tokens that occur (at least two); ties in favour of leaves, then of what came first."""
    tokens = np.flatnonzero(counts > 0)
    tokens = tokens[np.argsort(counts[tokens], kind="stable")]
    leaves = np.full(len(counts), -1, np.int32)
    leaves[tokens] = np.arange(len(tokens), dtype=np.int32)
    parents, right = np.zeros(2 * len(tokens) - 1, np.int32), np.zeros(2 * len(tokens) - 1, np.int8)
    depth = join(counts[tokens], parents, right)
    return HuffmanTree(leaves, parents, right, int(depth))


@kernel
def join(sorted_counts: NDArray[np.int64], parents: Ints, right: NDArray[np.int8]) -> int:
    """Join the two lightest nodes until one is left; returns the depth. Both queues are sorted: no heap is needed."""
    leaves, nodes = len(sorted_counts), len(parents)
    weights, depths = np.zeros(nodes, np.int64), np.zeros(nodes, np.int32)
    weights[:leaves] = sorted_counts
    leaf, inner = 0, leaves
    for node in range(leaves, nodes):
        for second in range(2):
            if leaf < leaves and (inner >= node or weights[leaf] <= weights[inner]):
                child, leaf = leaf, leaf + 1
            else:
                child, inner = inner, inner + 1
            parents[child], right[child] = node, second
            weights[node] += weights[child]
            depths[node] = max(depths[node], depths[child] + 1)
    return int(depths[nodes - 1])


@kernel
def windows_with_paths(
    words: Ints,
    count: int,
    members: Ints,  # the token of each slot
    leaves: Ints, parents: Ints, right: NDArray[np.int8],  # Tree
    slots: Ints,  # of each inner node (from 0), -1 before and after
    nodes: Ints,  # the inner node of each slot: written here
    size: int, least: int, blank: int, key: int,  # as for windows_with_negatives
    contexts: Ints, context_ends: Ints, targets: Ints, labels: Floats, target_ends: Ints,
) -> tuple[int, int]:  # fmt: skip
    """Write a window for each word with a neighbour: its contexts and the nodes on its path.

    Returns the number of windows and of distinct nodes.

    A target that is only padding is -1 until the number of nodes, and with it the blank row, is known.
    """
    windows = context = target = sentence_start = distinct = 0
    draw, root, first_inner = np.uint64(key), len(parents) - 1, len(parents) // 2 + 1
    for position in range(count):
        word = words[position]
        if word == BORDER:
            sentence_start = position + 1
            continue
        draw += np.uint64(GOLDEN)
        reach = least + int(((mixed(draw) >> np.uint64(40)) * np.uint64(size - least + 1)) >> np.uint64(24))
        context_end = around(words, count, sentence_start, position, reach, blank, contexts, context)
        if context_end == context:
            continue
        context = context_end
        node = leaves[members[word]]
        start = target
        while node != root:
            inner_node = parents[node] - first_inner
            if slots[inner_node] < 0:
                slots[inner_node], nodes[distinct] = distinct, inner_node
                distinct += 1
            targets[target], labels[target] = slots[inner_node], np.float32(1 - right[node])
            target, node = target + 1, parents[node]
        while (target - start) % 6:
            targets[target], labels[target] = -1, np.float32(0.5)
            target += 1
        context_ends[windows], target_ends[windows] = context, target
        windows += 1
    for index in range(target):
        if targets[index] < 0:
            targets[index] = distinct
    for index in range(distinct):
        slots[nodes[index]] = -1
    return windows, distinct
