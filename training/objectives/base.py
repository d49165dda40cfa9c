"""The base class of objectives: from rows of tokens to the inputs and targets of a model, and its summed loss."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.core.config import Section
from training.keyed_rng import Keys
from training.models.base import Model, RecurrentState

Tensors = dict[str, Tensor]
"""The inputs of a model by name; the first axis of every tensor is the row."""
IntArray = NDArray[Any]
"""Token ids in the integer type of the shards."""


class Objective:
    """The loss is a sum over targets, so that a batch can be split over micro-batches and workers in any way.

    `extra_tokens`: the largest number of special tokens that `batch` adds to a row. `group`: how many consecutive rows
    must stay in one micro-batch.
    """

    extra_tokens: int = 0
    group: int = 1

    def __init__(self, config: Section, tokenizer: Path) -> None:
        self.config = config
        self.tokenizer = tokenizer

    def batch(self, tokens: NDArray[np.int64], lengths: NDArray[np.int64], keys: Keys) -> tuple[Tensors, Tensor]:
        """Inputs on the CPU, and the number of targets of each row that count (B, int64).

        tokens: B, T, of which the first `lengths[b]` of row b count (maybe none). All random numbers come from `keys`
        (B), by `training.keyed_rng.uniform`.
        """
        raise NotImplementedError

    def frame_documents(self, documents: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the document of each input begins: B, T, from the same of each token of the rows (B, T).

        An objective that adds tokens to its inputs says here to which document they belong.
        """
        return documents

    def examine(self, rows: Iterable[IntArray]) -> None:
        """Check the training rows before the first step.

        Raises: UserError when nothing can be learned from them.
        """

    def idle(self, model: Model) -> list[str]:
        """Parameters that this objective does not train, such as an unused head; they are not changed."""
        return []

    def loss(self, model: Model, batch: Tensors) -> Tensor:
        """The summed loss in nats; with label smoothing only while `model.training`."""
        loss: Tensor = model(**batch)
        return loss


class LossModule(nn.Module):
    """A model and its objective as one module, which an engine wraps so that its hooks see every forward pass.

    For a model that carries a state, `carried` holds the final state of each micro-batch (`slot`) of the last step.
    """

    def __init__(self, model: Model, objective: Objective) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.carries = False  # switched on by the trainer where rows come as streams
        self.slot = 0
        self.carried: dict[int, RecurrentState] = {}
        parameters = dict(model.named_parameters())
        for name in objective.idle(model):
            parameters[name].requires_grad_(False)

    def forward(self, **batch: Tensor) -> Tensor:
        if not self.carries or not self.training:
            self.model.state = None
            loss = self.objective.loss(self.model, batch)
            self.model.state = None
            return loss
        self.model.state = self.carried.get(self.slot)
        loss = self.objective.loss(self.model, batch)
        state = self.model.state
        self.model.state = None
        if state is not None:
            self.carried[self.slot] = [tensor.detach() for tensor in state]  # back-propagation ends here
        return loss
