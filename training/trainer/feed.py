"""From the number of a step to what a worker's model is asked: rows, what is done to them, inputs and targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training import keyed_rng
from training.augment.base import Augmentation
from training.families import Order
from training.objectives.base import Objective, Tensors
from training.trainer import batches
from training.trainer.packed_rows import PackedRows

# keys of held-out rows: another seed than any run's (below 2^63), so that every run hides the same tokens of them
HELD_OUT = 1 << 63


@dataclass(frozen=True)
class Feed:
    """Where a run's batches come from; everything follows from the step, so there is no state to save."""

    train: PackedRows
    held_out: PackedRows
    objective: Objective
    augmentations: tuple[Augmentation, ...]
    order: Order
    batch_rows: int
    seed: int

    def numbers(self, step: int) -> NDArray[np.int64]:
        """The rows of a step (from 0), of all workers."""
        return batches.rows_of_step(
            step, rows=len(self.train), batch_rows=self.batch_rows, seed=self.seed, order=self.order
        )

    def begins_streams(self, step: int) -> bool:
        """Whether every stream begins at this step, and with it any state that is carried."""
        return self.order == "streams" and step % batches.stream_rows(len(self.train), self.batch_rows) == 0

    def batch(self, step: int, device: torch.device, *, rank: int, world: int) -> tuple[Tensors, Tensor]:
        """One worker's inputs, and how many targets they hold."""
        mine = batches.share(self.numbers(step), rank=rank, world=world)
        places = np.arange(rank * len(mine), (rank + 1) * len(mine))
        keys = keyed_rng.keys(self.seed, step, places)
        tokens, lengths = self.train.take(mine)
        for one in self.augmentations:
            tokens, lengths = one.rows(tokens, lengths, keys)
        inputs, counted = self.objective.batch(tokens, lengths, keys)
        for one in self.augmentations:
            inputs["tokens"] = torch.from_numpy(one.inputs(inputs["tokens"].numpy(), lengths, keys))
        return _on(device, inputs), counted.sum()

    def validation(self, numbers: NDArray[np.int64], device: torch.device) -> tuple[Tensors, Tensor]:
        """Held-out rows, never augmented; a number below 0 is a row without tokens."""
        tokens, lengths = self.held_out.take(numbers)
        inputs, counted = self.objective.batch(tokens, lengths, keyed_rng.keys(HELD_OUT, 0, numbers))
        return _on(device, inputs), counted.sum()


def _on(device: torch.device, inputs: Tensors) -> Tensors:
    return {name: tensor.to(device) for name, tensor in inputs.items()}
