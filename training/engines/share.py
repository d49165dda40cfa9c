"""How whole tensors lie in the flat shares of the workers: as one stripe cut evenly (ZeRO 1, 2), or each one cut (3).

A layout is arithmetic alone: for each worker its pieces (tensor, where in the share, where in the tensor, how many). It
answers the Muon step (gather whole matrices, take a part back) and a checkpoint of another number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

Shape = tuple[int, ...]
Piece = tuple[int, int, int, int]
# parameter → "weights" or a state of the optimizer → tensor, whole
Kept = Mapping[str, Mapping[str, Tensor]]


@dataclass(frozen=True)
class Layout:
    """`size` numbers a worker, of which `pieces[worker]` belong to tensors and the rest is padding."""

    shapes: tuple[Shape, ...]
    size: int
    pieces: tuple[tuple[Piece, ...], ...]

    def join(self, flats: Sequence[Tensor], only: Callable[[int], bool]) -> list[Tensor | None]:
        """The tensors, whole, from the shares of all workers; None for those not in `only`."""
        wanted = [only(index) for index in range(len(self.shapes))]
        whole = [flats[0].new_empty(prod(s)) if want else None for s, want in zip(self.shapes, wanted, strict=True)]
        for flat, pieces in zip(flats, self.pieces, strict=True):
            for index, here, there, count in pieces:
                tensor = whole[index]
                if tensor is not None:
                    tensor[there : there + count] = flat[here : here + count]
        return [None if t is None else t.view(s) for t, s in zip(whole, self.shapes, strict=True)]

    def part(self, tensors: Sequence[Tensor | None], worker: int, like: Tensor) -> Tensor:
        """The share of one worker; padding is zero. Tensors of which nothing lies there may be None."""
        flat = torch.zeros_like(like)
        for index, here, there, count in self.pieces[worker]:
            tensor = tensors[index]
            assert tensor is not None
            flat[here : here + count] = tensor.reshape(-1)[there : there + count]
        return flat


def striped(shapes: Sequence[Shape], size: int, world: int) -> Layout:
    """All tensors in a row, the row padded and cut into `world` parts of `size`."""
    pieces: list[tuple[Piece, ...]] = []
    for worker in range(world):
        first, last, offset, own = worker * size, (worker + 1) * size, 0, []
        for index, shape in enumerate(shapes):
            low, high = max(offset, first), min(offset + prod(shape), last)
            if low < high:
                own.append((index, low - first, low - offset, high - low))
            offset += prod(shape)
        pieces.append(tuple(own))
    return Layout(tuple(shapes), size, tuple(pieces))


def sliced(shapes: Sequence[Shape], parts: Sequence[int], world: int) -> Layout:
    """Each tensor padded and cut into `world` parts of `parts[i]`; a worker holds its parts of all tensors in a row."""
    pieces: list[tuple[Piece, ...]] = []
    for worker in range(world):
        here, own = 0, []
        for index, (shape, part) in enumerate(zip(shapes, parts, strict=True)):
            there = min(worker * part, prod(shape))
            if count := min(part, prod(shape) - there):
                own.append((index, here, there, count))
            here += part
        pieces.append(tuple(own))
    return Layout(tuple(shapes), sum(parts), tuple(pieces))


def whole(shape: Shape) -> Layout:
    """A tensor that a worker holds by itself."""
    return Layout((shape,), prod(shape), (((0, 0, 0, prod(shape)),),))


@dataclass(frozen=True)
class Held:
    """A tensor that the optimizer moves here: what it stands for, and this worker's place in its layout."""

    tensor: Tensor
    names: tuple[str, ...]
    layout: Layout
    worker: int

    def record(self, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """What a checkpoint keeps of it: values, the optimizer's state, and where each piece belongs."""
        values = {"weights": self.tensor.detach(), **state}
        flat = {key: value.reshape(-1).to("cpu") for key, value in values.items()}
        pieces = [list(piece) for piece in self.layout.pieces[self.worker]]
        shapes = [list(shape) for shape in self.layout.shapes]
        return {"names": list(self.names), "shapes": shapes, "pieces": pieces, "values": flat}

    def restore(self, kept: Kept, key: str) -> Tensor:
        """This worker's part of a state that `joined` brought together."""
        flat = self.layout.part([kept[name][key] for name in self.names], self.worker, self.tensor.reshape(-1))
        return flat.view(self.tensor.shape)


def joined(states: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Tensor]]:
    """{parameter: {"weights" | a state of the optimizer: tensor}} from the records of all workers of a checkpoint.

    It does not matter how many they were, nor by which engine. Costs the whole state in memory for a moment.
    """
    kept: dict[str, dict[str, Tensor]] = {}
    for record in (record for state in states for record in state["held"]):
        for index, here, there, count in record["pieces"]:
            name, shape = record["names"][index], record["shapes"][index]
            for key, flat in record["values"].items():
                tensor = kept.setdefault(name, {}).setdefault(key, torch.empty(shape))
                tensor.view(-1)[there : there + count] = flat[here : here + count]
    return kept


@dataclass(frozen=True)
class Shared:
    """A layout as the optimizer sees it from one worker (`optimizer.Share`)."""

    layout: Layout
    rank: int

    def gather(self, flat: Tensor) -> list[Tensor | None]:
        """Bring together the matrices of which a part lies here; every worker must call it."""
        world = len(self.layout.pieces)
        if world == 1:
            flats = [flat]
        else:
            flats = [torch.empty_like(flat) for _ in range(world)]
            dist.all_gather(flats, flat)
        mine = {index for index, *_ in self.layout.pieces[self.rank]}
        return self.layout.join(flats, mine.__contains__)

    def take(self, matrices: Sequence[Tensor | None], like: Tensor) -> Tensor:
        return self.layout.part(matrices, self.rank, like)
