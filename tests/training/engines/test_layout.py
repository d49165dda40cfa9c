"""Layouts of shares: cutting and joining are inverse at any number of workers, and checkpoints change hands."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from training.engines.layout import (
    Layout,
    LayoutPartition,
    OwnedTensor,
    SavedPieces,
    StoredState,
    TensorRecord,
    sliced,
    striped,
    unsharded,
)

SHAPES = st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=2).map(tuple), min_size=1, max_size=5)
WORLDS = st.integers(1, 5)


def layouts(shapes: list[tuple[int, ...]], world: int) -> list[Layout]:
    size = ceil(sum(map(prod, shapes)) / world) + 1  # some padding, as alignment brings it
    return [striped(shapes, size, world), sliced(shapes, [ceil(prod(s) / world) for s in shapes], world)]


def numbered(shapes: list[tuple[int, ...]]) -> list[Tensor]:
    """Tensors of which every number is another."""
    first, tensors = 1, []
    for shape in shapes:
        tensors.append(torch.arange(first, first + prod(shape), dtype=torch.float32).view(shape))
        first += prod(shape)
    return tensors


@dataclass
class InMemory:
    """A stored share that counts the numbers that are read of it."""

    flat: Tensor
    counter: list[int]

    def read_into(self, first: int, target: Tensor) -> None:
        target.copy_(self.flat[first : first + len(target)])
        self.counter[0] += len(target)


def stored(records: list[TensorRecord], counter: list[int]) -> list[StoredState]:
    """The records of all workers, as a checkpoint gives them back."""
    states: list[StoredState] = [{"held": []}]
    for record in records:
        values = {key: InMemory(flat, counter) for key, flat in record["values"].items()}
        states.append({"held": [{**record, "values": dict(values)}]})
    return states


@given(SHAPES, WORLDS)
def test_joining_the_parts_gives_the_whole(shapes: list[tuple[int, ...]], world: int) -> None:
    for layout in layouts(shapes, world):
        tensors, like = numbered(shapes), torch.empty(layout.size)
        parts = [layout.share_of(tensors, worker, like) for worker in range(world)]
        back = layout.join(parts, lambda index: True)
        assert all(b is not None and torch.equal(a, b) for a, b in zip(tensors, back, strict=True))
        owned = sum(part.count_nonzero().item() for part in parts)
        assert owned == sum(map(prod, shapes)), "each number lies at one worker"


@given(SHAPES, WORLDS, WORLDS)
def test_a_checkpoint_of_some_workers_serves_any_other_number(
    shapes: list[tuple[int, ...]], before: int, after: int
) -> None:
    tensors, names = numbered(shapes), tuple(f"p{index}" for index in range(len(shapes)))
    for old, new in zip(layouts(shapes, before), layouts(shapes, after)[::-1], strict=True):
        records = []
        for worker in range(before):
            weights = old.share_of(tensors, worker, torch.empty(old.size))
            owned = OwnedTensor(weights, names, old, worker)
            records.append(owned.record({"first": weights * 2}))
        counter = [0]
        saved = SavedPieces(stored(records, counter))
        for worker in range(after):
            restored = OwnedTensor(torch.zeros(new.size), names, new, worker)
            restored.read_into(saved, "first", restored.tensor)
            expected = new.share_of([t * 2 for t in tensors], worker, torch.empty(new.size))
            assert torch.equal(restored.tensor, expected)
        assert counter[0] == sum(map(prod, shapes)), "all workers together read each number once"


def test_a_whole_parameter_is_its_own_share() -> None:
    tensor = torch.arange(6.0).view(2, 3)
    owned = OwnedTensor(tensor, ("p",), unsharded((2, 3)), 0)
    saved = SavedPieces(stored([owned.record({"first": tensor + 1})], [0]))
    assert saved.names == {"p"} and saved.keys("p") == ["weights", "first"]
    for key, expected in (("weights", tensor), ("first", tensor + 1)):
        target = torch.zeros(2, 3)
        owned.read_into(saved, key, target)
        assert torch.equal(target, expected)


def test_a_worker_gathers_only_the_matrices_it_has_a_part_of() -> None:
    layout = striped([(2, 2), (2, 2), (2, 2)], 12, 1)
    alone = LayoutPartition(layout, 0)
    flat = torch.arange(12.0)
    gathered = alone.gather(flat)
    assert all(matrix is not None for matrix in gathered) and torch.equal(alone.scatter(gathered, flat), flat)
    assert {index for index, *_ in striped([(2, 2), (2, 2), (2, 2)], 6, 2).pieces[0]} == {0, 1}
