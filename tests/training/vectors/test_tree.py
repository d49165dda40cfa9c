"""The Huffman tree against one from a heap, and the paths that become targets."""

from __future__ import annotations

import heapq

import numpy as np
import pytest

from training.vectors.tree import HuffmanTree, huffman, windows_with_paths
from training.vectors.windows import BORDER


def path(tree: HuffmanTree, token: int) -> list[tuple[int, int]]:
    """(inner node, answer) from a token's leaf up to the root."""
    node, steps = int(tree.leaves[token]), []
    while node != len(tree.parents) - 1:
        steps.append((int(tree.parents[node]) - len(tree.parents) // 2 - 1, 1 - int(tree.right[node])))
        node = int(tree.parents[node])
    return steps


@pytest.mark.parametrize("size", [2, 3, 10, 300])
def test_the_tree_is_as_short_as_one_can_be(size: int) -> None:
    counts = np.random.default_rng(size).zipf(1.3, size).astype(np.int64) % 1000 + 1
    counts = np.concatenate([[0, 0], counts, [0]])  # tokens that never occur have no leaf
    tree = huffman(counts)
    heap, cost = sorted(counts[counts > 0].tolist()), 0
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        cost += joined
        heapq.heappush(heap, joined)
    paths = {token: path(tree, token) for token in np.flatnonzero(counts).tolist()}
    assert sum(len(paths[token]) * int(counts[token]) for token in paths) == cost
    assert tree.depth == max(len(steps) for steps in paths.values())
    assert len({tuple(steps) for steps in paths.values()}) == size
    assert tree.leaves[[0, 1, -1]].tolist() == [-1, -1, -1]


def test_a_word_is_predicted_as_the_answers_on_its_path() -> None:
    counts = np.array([0, 0, 50, 20, 9, 4, 2, 1, 1], np.int64)
    tree = huffman(counts)
    members = np.array([5, 2, 7], np.int32)
    words = np.array([0, 1, BORDER, 2, 1, 0, BORDER], np.int32)
    slots, nodes = np.full(9, -1, np.int32), np.zeros(9, np.int32)
    contexts, ends = np.zeros(64, np.int32), np.zeros(16, np.int32)
    targets, labels, target_ends = np.zeros(128, np.int32), np.zeros(128, np.float32), np.zeros(16, np.int32)
    windows, distinct = windows_with_paths(
        words, len(words), members, tree.leaves, tree.parents, tree.right, slots, nodes, 1, 1, 3, np.uint64(1),
        contexts, ends, targets, labels, target_ends,
    )  # fmt: skip
    assert windows == 5 and (slots == -1).all() and len(set(nodes[:distinct].tolist())) == distinct
    first = 0
    for window, token in zip(range(5), (5, 2, 7, 2, 5), strict=True):
        window_targets = range(first, target_ends[window])
        answers = [(int(nodes[targets[t]]), int(labels[t])) for t in window_targets if targets[t] != distinct]
        assert answers == path(tree, token) and len(window_targets) % 6 == 0
        assert all(labels[t] == 0.5 for t in window_targets if targets[t] == distinct)
        first = target_ends[window]
