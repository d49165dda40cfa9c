"""What every objective is: from rows of tokens to what a model is asked, and the summed loss of its answers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from training.keyed_rng import Keys
from training.models.base import Model

Tensors = dict[str, Tensor]
"""What a model is given; every tensor's first axis is the row."""
State = list[Tensor]


class Objective:
    """The base of an objective. The loss is a sum over targets, so that a batch can be cut and shared anyhow.

    `marks`: how many tokens `batch` may add to a row. `group`: rows that a micro-batch must not part.
    """

    marks: int = 0
    group: int = 1

    def __init__(self, config: Any, tokenizer: Path) -> None:
        self.config, self.tokenizer = config, tokenizer

    def batch(self, tokens: NDArray[np.int64], lengths: NDArray[np.int64], keys: Keys) -> tuple[Tensors, Tensor]:
        """Inputs on the CPU, and how many targets of each row count (B, int64).

        tokens: B, T, of which the first `lengths[b]` of row b count (maybe none); what is chosen by chance comes from
        `keys` (B), by `training.keyed_rng.uniform` and nothing else.
        """
        raise NotImplementedError

    def examine(self, rows: Iterable[NDArray[Any]]) -> None:
        """Look at the training rows before the first step.

        Raises: UserError when nothing can be learned from them.
        """

    def idle(self, model: Model) -> list[str]:
        """Parameters that this objective never reaches (a head that is not asked): they stay as they are."""
        return []

    def loss(self, model: Model, batch: Tensors) -> Tensor:
        """The summed loss in nats; with label smoothing while `model.training` alone."""
        loss: Tensor = model(**batch)
        return loss


class LossModule(nn.Module):
    """A model under an objective as one module: what an engine wraps, so that its hooks see every forward pass.

    For a model that carries a state, `carried` keeps what each micro-batch (`slot`) of the step before left behind.
    """

    def __init__(self, model: Model, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective
        self.carries = False  # switched on by the trainer where rows come as streams
        self.slot = 0
        self.carried: dict[int, State] = {}
        named = dict(model.named_parameters())
        for name in objective.idle(model):
            named[name].requires_grad_(False)

    def forward(self, **batch: Tensor) -> Tensor:
        if not self.carries or not self.training:
            self.model.state = None
            loss = self.objective.loss(self.model, batch)
            self.model.state = None
            return loss
        self.model.state = self.carried.get(self.slot)
        loss = self.objective.loss(self.model, batch)
        left, self.model.state = self.model.state, None
        if left is not None:
            self.carried[self.slot] = [tensor.detach() for tensor in left]  # back-propagation ends here
        return loss
