"""The sum over a fixed tree: the same bits whoever adds up which leaves."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from training.engines.tree_sum import TreeSum, nodes_of_worker, root_node, sum_of


def reference(leaves: list[torch.Tensor]) -> torch.Tensor:
    """Pairs of neighbours, again and again; one without a neighbour is kept as it is."""
    while len(leaves) > 1:
        pairs = [leaves[at : at + 2] for at in range(0, len(leaves), 2)]
        leaves = [pair[0] + pair[1] if len(pair) == 2 else pair[0] for pair in pairs]
    return leaves[0]


@given(st.integers(1, 40), st.integers(1, 45))
def test_any_number_of_workers_adds_up_the_same_tree(leaves: int, world: int) -> None:
    vectors = torch.randn(leaves, 5, generator=torch.Generator().manual_seed(leaves)) * 1e3
    own = -(-leaves // world)
    nodes = {}
    for rank in range(world):
        worker = TreeSum(leaves, own, rank, world)
        for leaf in range(min(rank * own, leaves), min((rank + 1) * own, leaves)):
            worker.add(leaf, vectors[leaf].clone())
        assert [node for node, _ in worker.nodes] == nodes_of_worker(rank, own, leaves)
        nodes.update(worker.nodes)
    total = sum_of(nodes, root_node(leaves))
    assert total is not None and torch.equal(total, reference(list(vectors)))
