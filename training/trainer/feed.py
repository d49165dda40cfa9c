"""The batches of a run: from the number of a step to a worker's rows, their augmentation, inputs and targets."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training import keyed_rng
from training.augment.base import Augmentation
from training.families import Order
from training.objectives.base import Objective, Tensors
from training.trainer import batches
from training.trainer.mixed_order import MixedOrder
from training.trainer.packed_rows import PackedRows
from training.trainer.skipped_rows import SkippedRows

# the seed for held-out rows, unlike that of any run (below 2^63), so that every run masks the same tokens of them
HELD_OUT = 1 << 63


@dataclass(frozen=True)
class Feed:
    """Creates the batches of a run; a batch follows from its step, so there is no state to save."""

    train: PackedRows
    held_out: PackedRows
    objective: Objective
    augmentations: tuple[Augmentation, ...]
    order: Order
    batch_rows: int
    seed: int
    document_mask: bool = False
    skipped: SkippedRows = field(default_factory=SkippedRows)
    mixed: MixedOrder | None = None  # where sources have weights, the order of rows instead of `order`

    def numbers(self, step: int) -> NDArray[np.int64]:
        """The rows of a step (from 0), of all workers; -1 in place of one that is left out."""
        if self.mixed is not None:
            numbers = self.mixed.rows(np.arange(step * self.batch_rows, (step + 1) * self.batch_rows))
        else:
            numbers = batches.rows_of_step(
                step, rows=len(self.train), batch_rows=self.batch_rows, seed=self.seed, order=self.order
            )
        return self.skipped.without(numbers, step)

    def begins_streams(self, step: int) -> bool:
        """Whether every stream starts at this step, so that no recurrent state is carried into it."""
        return self.order == "streams" and step % batches.stream_rows(len(self.train), self.batch_rows) == 0

    def batch(self, step: int, device: torch.device, *, rank: int, worker_rows: int) -> tuple[Tensors, Tensor]:
        """One worker's inputs, `worker_rows` rows, some maybe empty, and how many targets they hold."""
        inputs, target_counts = self.counted_batch(step, device, rank=rank, worker_rows=worker_rows)
        return inputs, target_counts.sum()

    def counted_batch(self, step: int, device: torch.device, *, rank: int, worker_rows: int) -> tuple[Tensors, Tensor]:
        """As `batch`, with the targets of each row (worker_rows)."""
        own_rows = batches.share(self.numbers(step), rank=rank, worker_rows=worker_rows)
        places = np.arange(rank * worker_rows, (rank + 1) * worker_rows)
        keys = keyed_rng.keys(self.seed, step, places)
        tokens, lengths = self.train.take(own_rows)
        for augmentation in self.augmentations:
            tokens, lengths = augmentation.rows(tokens, lengths, keys)
        inputs, target_counts = self.objective.batch(tokens, lengths, keys)
        if self.document_mask:
            inputs["documents"] = self._documents(self.train, own_rows, lengths)
        for augmentation in self.augmentations:
            inputs["tokens"] = torch.from_numpy(augmentation.inputs(inputs["tokens"].numpy(), lengths, keys))
        return _to_device(inputs, device), target_counts

    def validation(self, numbers: NDArray[np.int64], device: torch.device) -> tuple[Tensors, Tensor]:
        """Held-out rows, never augmented; a number below 0 is a row without tokens."""
        tokens, lengths = self.held_out.take(numbers)
        inputs, target_counts = self.objective.batch(tokens, lengths, keyed_rng.keys(HELD_OUT, 0, numbers))
        if self.document_mask:
            inputs["documents"] = self._documents(self.held_out, numbers, lengths)
        return _to_device(inputs, device), target_counts.sum()

    def _documents(self, rows: PackedRows, numbers: NDArray[np.int64], lengths: NDArray[np.int64]) -> Tensor:
        """Where the document of each input begins: B, T, as the objective frames the rows."""
        return torch.from_numpy(self.objective.frame_documents(rows.documents(numbers), lengths))


def _to_device(inputs: Tensors, device: torch.device) -> Tensors:
    return {name: tensor.to(device) for name, tensor in inputs.items()}
