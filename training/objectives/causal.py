"""Predict each token from those before it in its row: what GPT does."""

from __future__ import annotations

import torch
from torch import Tensor

from training.models.layers import IGNORE
from training.objectives.base import Objective


class Causal(Objective):
    """A row of n tokens has n - 1 targets. The last token is fed too, without a target: tensors keep an even length."""

    def batch(self, rows: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        targets = torch.roll(rows, -1, dims=1)
        counted = torch.arange(1, rows.shape[1] + 1, device=rows.device) < lengths.unsqueeze(1)
        return rows, torch.where(counted, targets, IGNORE)
