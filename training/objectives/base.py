"""What every objective is: from rows of tokens to inputs and targets, and the summed loss of a model on them."""

from __future__ import annotations

from pydantic import BaseModel
from torch import Tensor, nn

from training.models.base import Model


class Objective:
    """The base of an objective. The loss is a sum over targets, so that a batch can be cut and shared anyhow."""

    def __init__(self, config: BaseModel) -> None:
        self.config = config

    def batch(self, rows: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and targets, both B, T. Only the first `lengths[b]` tokens of row b count; others are `IGNORE`d."""
        raise NotImplementedError

    def loss(self, model: Model, inputs: Tensor, targets: Tensor) -> Tensor:
        """The summed loss in nats."""
        loss: Tensor = model(inputs, targets)
        return loss


class Task(nn.Module):
    """A model under an objective as one module: what an engine wraps, so that its hooks see every forward pass."""

    def __init__(self, model: Model, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return self.objective.loss(self.model, inputs, targets)
