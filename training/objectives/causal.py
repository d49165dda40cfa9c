"""Predict each token from those before it in its row, as GPT does."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.keyed_rng import Keys
from training.models.base import Model
from training.models.layers import IGNORE
from training.objectives import section
from training.objectives.base import Objective, Tensors


class Causal(Objective):
    """A row of n tokens has n - 1 targets. The last token is an input without a target, so that lengths stay even."""

    config: section.Causal

    def batch(self, tokens: NDArray[np.int64], lengths: NDArray[np.int64], keys: Keys) -> tuple[Tensors, Tensor]:
        rows = torch.from_numpy(tokens)
        counted = torch.arange(1, rows.shape[1] + 1) < torch.from_numpy(lengths).unsqueeze(1)
        targets = torch.where(counted, torch.roll(rows, -1, dims=1), IGNORE)
        return {"tokens": rows, "targets": targets}, counted.sum(1)

    def loss(self, model: Model, batch: Tensors) -> Tensor:
        smoothing = self.config.label_smoothing if model.training else 0.0
        options = {"label_smoothing": smoothing} if smoothing else {}
        loss: Tensor = model(batch["tokens"], batch["targets"], **options)
        return loss
