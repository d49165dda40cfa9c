"""Gradients summed over the micro-batches of all workers in one fixed binary tree: the same bits with any workers.

A step has K micro-batches, the leaves; a worker computes consecutive ones. It adds up its leaves to whole nodes of the
tree (a binary counter: about log2 of its leaves are in memory). Then the workers exchange shares of their nodes, each
adds up its share in the order of the tree, and all gather the sum. Leaves beyond the K-th are left out, not added.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor

TreeNode = tuple[int, int]
"""The first leaf of a node, and how many it stands for: a power of two, of which the last may be absent."""


@dataclass
class TreeSum:
    """The sum of one step. Worker `rank` of `world` has the leaves from rank × `own` on, of `leaves` in all."""

    leaves: int
    own: int
    rank: int
    world: int
    nodes: list[tuple[TreeNode, Tensor]] = field(default_factory=list)

    def add(self, leaf: int, vector: Tensor) -> None:
        """Add a leaf; they come in order. The vector belongs to the sum from then on."""
        self.nodes.append(((leaf, 1), vector))
        while len(self.nodes) > 1 and (parent := _parent(self.nodes[-2][0], self.nodes[-1][0])):
            _, right = self.nodes.pop()
            _, left = self.nodes.pop()
            self.nodes.append((parent, left.add_(right)))

    def total(self, size: int, like: Tensor) -> Tensor:
        """The sum of all leaves of all workers, `size` numbers; every worker must call it."""
        if self.world == 1:
            total = sum_of(dict(self.nodes), root_node(self.leaves))
            self.nodes.clear()
            assert total is not None
            return total
        share = -(-size // self.world)
        nodes_of = [nodes_of_worker(rank, self.own, self.leaves) for rank in range(self.world)]
        shares: dict[TreeNode, Tensor] = {}
        for slot in range(max(map(len, nodes_of))):
            sent = like.new_zeros(share * self.world)
            if slot < len(self.nodes):
                sent[:size] = self.nodes[slot][1]
            received = torch.empty_like(sent)
            dist.all_to_all_single(received, sent)
            for rank, nodes in enumerate(nodes_of):
                if slot < len(nodes):
                    shares[nodes[slot]] = received[rank * share : (rank + 1) * share]
        self.nodes.clear()
        own = sum_of(shares, root_node(self.leaves))
        assert own is not None
        total = like.new_empty(share * self.world)
        dist.all_gather_into_tensor(total, own.contiguous())
        return total[:size]


def nodes_of_worker(rank: int, own: int, leaves: int) -> list[TreeNode]:
    """The nodes that the leaves of a worker add up to, in order."""
    nodes: list[TreeNode] = []
    for leaf in range(min(rank * own, leaves), min((rank + 1) * own, leaves)):
        nodes.append((leaf, 1))
        while len(nodes) > 1 and (parent := _parent(nodes[-2], nodes[-1])):
            nodes[-2:] = [parent]
    return nodes


def _parent(left: TreeNode, right: TreeNode) -> TreeNode | None:
    """The node of these two children; None if they are not those of one."""
    first, count = left
    if right == (first + count, count) and first % (2 * count) == 0:
        return first, 2 * count
    return None


def root_node(leaves: int) -> TreeNode:
    """The node of all leaves: a power of two of places, of which those behind the last leaf are empty."""
    return 0, 1 << (leaves - 1).bit_length()


def sum_of(nodes: dict[TreeNode, Tensor], node: TreeNode) -> Tensor | None:
    """The value of a node: itself, or the sum of its children, or the only child that there is."""
    if node in nodes:
        return nodes[node]
    first, count = node
    if count == 1:
        return None
    half = count // 2
    left, right = sum_of(nodes, (first, half)), sum_of(nodes, (first + half, half))
    if left is None or right is None:
        return right if left is None else left
    return left + right
