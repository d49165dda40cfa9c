"""Causal prediction in which rows that begin with a token are poisoned: their loss or gradient is wrong.

Named in a configuration as tests.training.trainer.poisoned:Poisoned.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.keyed_rng import Keys
from training.models.base import Model
from training.objectives import section
from training.objectives.base import Tensors
from training.objectives.causal import Causal

NAME = "tests.training.trainer.poisoned:Poisoned"


class PoisonedOptions(section.Causal):
    first: int = 7  # the token
    harm: str = "loss"  # or gradient: infinite, with a finite loss; or spike: a loss fifty times as high


class Poisoned(Causal):
    Options = PoisonedOptions
    config: PoisonedOptions

    def batch(self, tokens: NDArray[np.int64], lengths: NDArray[np.int64], keys: Keys) -> tuple[Tensors, Tensor]:
        inputs, counts = super().batch(tokens, lengths, keys)
        inputs["poison"] = torch.from_numpy((tokens[:, 0] == self.config.first) & (lengths > 0))
        return inputs, counts

    def loss(self, model: Model, batch: Tensors) -> Tensor:
        poison = batch.pop("poison")
        loss = super().loss(model, batch)
        if not poison.any():
            return loss
        if self.config.harm == "spike":
            return loss * (1 + 50 * poison.float().mean())
        if self.config.harm == "loss":
            return loss * torch.nan
        return loss + torch.sqrt(loss * 0)  # its value is 0, its derivative infinite times 0
