"""How tensors are laid out over the flat shares of the workers: as one stripe cut evenly (ZeRO 1, 2), or each cut (3).

A layout is plain arithmetic: the pieces of each worker (tensor, offset in the share, offset in the tensor, count). The
Muon step uses it to gather matrices and scatter updates; a checkpoint, to resume with another number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Protocol, TypedDict

import torch
import torch.distributed as dist
from torch import Tensor

TensorShape = tuple[int, ...]
LayoutPiece = tuple[int, int, int, int]
"""Index of the tensor, offset in the share, offset in the tensor, count."""


class StoredFlat(Protocol):
    """A flat tensor in a checkpoint, of which any part can be read."""

    def read_into(self, first: int, target: Tensor) -> None:
        """Fill a flat tensor with the numbers from number `first` on."""


StoredPiece = tuple[int, int, int, StoredFlat]
"""Offset in the tensor, count, offset in the share, the share."""


class TensorRecord(TypedDict):
    """What a checkpoint holds of an OwnedTensor. `pieces`: as LayoutPiece; `values`: flat, by "weights" or state."""

    names: list[str]
    shapes: list[list[int]]
    pieces: list[list[int]]
    values: dict[str, Tensor]


class EngineState(TypedDict):
    """What a checkpoint holds of one worker's engine."""

    held: list[TensorRecord]


class StoredRecord(TypedDict):
    """A TensorRecord in a checkpoint."""

    names: list[str]
    shapes: list[list[int]]
    pieces: list[list[int]]
    values: dict[str, StoredFlat]


class StoredState(TypedDict):
    """An EngineState in a checkpoint."""

    held: list[StoredRecord]


@dataclass(frozen=True)
class Layout:
    """`size` numbers a worker, of which `pieces[worker]` belong to tensors and the rest is padding."""

    shapes: tuple[TensorShape, ...]
    size: int
    pieces: tuple[tuple[LayoutPiece, ...], ...]

    def join(self, flats: Sequence[Tensor], only: Callable[[int], bool]) -> list[Tensor | None]:
        """The unsharded tensors, from the shares of all workers; None for those not in `only`."""
        tensors = [flats[0].new_empty(prod(shape)) if only(index) else None for index, shape in enumerate(self.shapes)]
        for flat, pieces in zip(flats, self.pieces, strict=True):
            for index, flat_offset, tensor_offset, count in pieces:
                tensor = tensors[index]
                if tensor is not None:
                    tensor[tensor_offset : tensor_offset + count] = flat[flat_offset : flat_offset + count]
        return [None if t is None else t.view(shape) for t, shape in zip(tensors, self.shapes, strict=True)]

    def share_of(self, tensors: Sequence[Tensor | None], worker: int, like: Tensor) -> Tensor:
        """The flat share of one worker; padding is zero. Tensors of which it owns nothing may be None."""
        flat = torch.zeros_like(like)
        for index, flat_offset, tensor_offset, count in self.pieces[worker]:
            tensor = tensors[index]
            assert tensor is not None
            values = tensor.reshape(-1)[tensor_offset : tensor_offset + count]
            flat[flat_offset : flat_offset + count] = values
        return flat


def striped(shapes: Sequence[TensorShape], size: int, world: int) -> Layout:
    """All tensors in a row, the row padded and cut into `world` parts of `size`."""
    pieces: list[tuple[LayoutPiece, ...]] = []
    for worker in range(world):
        first, last = worker * size, (worker + 1) * size
        offset = 0
        own = []
        for index, shape in enumerate(shapes):
            low, high = max(offset, first), min(offset + prod(shape), last)
            if low < high:
                own.append((index, low - first, low - offset, high - low))
            offset += prod(shape)
        pieces.append(tuple(own))
    return Layout(tuple(shapes), size, tuple(pieces))


def sliced(shapes: Sequence[TensorShape], parts: Sequence[int], world: int) -> Layout:
    """Each tensor padded and cut into `world` parts of `parts[i]`; a worker owns its parts of all tensors in a row."""
    pieces: list[tuple[LayoutPiece, ...]] = []
    for worker in range(world):
        flat_offset = 0
        own = []
        for index, (shape, part) in enumerate(zip(shapes, parts, strict=True)):
            tensor_offset = min(worker * part, prod(shape))
            if count := min(part, prod(shape) - tensor_offset):
                own.append((index, flat_offset, tensor_offset, count))
            flat_offset += part
        pieces.append(tuple(own))
    return Layout(tuple(shapes), sum(parts), tuple(pieces))


def unsharded(shape: TensorShape) -> Layout:
    """The layout of a tensor that one worker owns completely."""
    return Layout((shape,), prod(shape), (((0, 0, 0, prod(shape)),),))


@dataclass(frozen=True)
class OwnedTensor:
    """A tensor that the optimizer of this worker updates: a parameter, or a flat share of the parameters `names`."""

    tensor: Tensor
    names: tuple[str, ...]
    layout: Layout
    worker: int

    def record(self, state: Mapping[str, Tensor]) -> TensorRecord:
        """For a checkpoint: values, the optimizer's state, and the pieces."""
        values = {"weights": self.tensor.detach(), **state}
        flat = {key: value.reshape(-1) for key, value in values.items()}
        pieces = [list(piece) for piece in self.layout.pieces[self.worker]]
        shapes = [list(shape) for shape in self.layout.shapes]
        return {"names": list(self.names), "shapes": shapes, "pieces": pieces, "values": flat}

    def read_into(self, saved: SavedPieces, key: str, target: Tensor) -> None:
        """Fill a tensor like this one with its share of a saved state; padding is left as it is."""
        flat = target.view(-1)
        for index, flat_offset, tensor_offset, count in self.layout.pieces[self.worker]:
            saved.read_into(self.names[index], key, tensor_offset, flat[flat_offset : flat_offset + count])


class SavedPieces:
    """The state of a checkpoint, of any number of workers and any engine; only the pieces asked for are read."""

    def __init__(self, states: Iterable[StoredState]) -> None:
        """`states`: of every worker of the checkpoint."""
        self._pieces: dict[str, dict[str, list[StoredPiece]]] = {}
        for record in (record for state in states for record in state["held"]):
            for index, flat_offset, tensor_offset, count in record["pieces"]:
                keys = self._pieces.setdefault(record["names"][index], {})
                for key, values in record["values"].items():
                    keys.setdefault(key, []).append((tensor_offset, count, flat_offset, values))

    @property
    def names(self) -> set[str]:
        """The parameters of the checkpoint."""
        return set(self._pieces)

    def keys(self, name: str) -> list[str]:
        """What is saved of a parameter: "weights", and the states of the optimizer."""
        return sorted(self._pieces[name], reverse=True)

    def read_into(self, name: str, key: str, first: int, target: Tensor) -> None:
        """Fill a flat tensor with the numbers of a parameter from number `first` on."""
        filled = 0
        for tensor_offset, count, flat_offset, values in self._pieces[name][key]:
            low, high = max(first, tensor_offset), min(first + len(target), tensor_offset + count)
            if low < high:
                values.read_into(flat_offset + low - tensor_offset, target[low - first : high - first])
                filled += high - low
        assert filled == len(target), f"{name}: the checkpoint has no {key} of some of its numbers"


@dataclass(frozen=True)
class LayoutPartition:
    """The matrices of a layout for the optimizer of one worker (`optimizer.MatrixPartition`)."""

    layout: Layout
    rank: int

    def gather(self, flat: Tensor) -> list[Tensor | None]:
        """Gather the matrices of which this worker owns a part; every worker must call it."""
        world = len(self.layout.pieces)
        if world == 1:
            flats = [flat]
        else:
            flats = [torch.empty_like(flat) for _ in range(world)]
            dist.all_gather(flats, flat)
        local = {index for index, *_ in self.layout.pieces[self.rank]}
        return self.layout.join(flats, local.__contains__)

    def scatter(self, matrices: Sequence[Tensor | None], like: Tensor) -> Tensor:
        return self.layout.share_of(matrices, self.rank, like)
