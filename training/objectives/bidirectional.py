"""Predict each token from those before it in its row, and again from those after it, as ELMo does.

The loss is the sum of both directions' (Peters et al. 2018, arXiv 1802.05365, section 3.1); a row of n tokens has n - 1
targets in each, so that a loss a target is the mean of the two.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.keyed_rng import Keys
from training.models.base import Model
from training.models.bilstm import backward_positions
from training.models.layers import IGNORE
from training.objectives import section
from training.objectives.base import Objective, Tensors


class Bidirectional(Objective):
    """The batch also has `backward_order`, the positions from a row's end, and `backward_targets`, in that order."""

    config: section.Bidirectional

    def batch(self, tokens: NDArray[np.int64], lengths: NDArray[np.int64], keys: Keys) -> tuple[Tensors, Tensor]:
        rows, ends = torch.from_numpy(tokens), torch.from_numpy(lengths)
        backward_order = backward_positions(rows, ends)
        counted = torch.arange(1, rows.shape[1] + 1) < ends.unsqueeze(1)
        targets, backward_targets = (
            torch.where(counted, torch.roll(x, -1, dims=1), IGNORE) for x in (rows, rows.gather(1, backward_order))
        )
        inputs = {
            "tokens": rows,
            "targets": targets,
            "backward_order": backward_order,
            "backward_targets": backward_targets,
        }
        return inputs, 2 * counted.sum(1)

    def loss(self, model: Model, batch: Tensors) -> Tensor:
        smoothing = self.config.label_smoothing if model.training else 0.0
        loss: Tensor = model(**batch, label_smoothing=smoothing)
        return loss
