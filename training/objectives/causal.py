"""Predict each token from those before it in its row, as GPT does."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.keyed_rng import Keys
from training.models.base import Model
from training.models.layers import IGNORE
from training.objectives import section
from training.objectives.base import Objective, Tensors


def after_end_of_text(documents: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where in its row the document of each token begins, if it begins with the end of text before it; both B, T.

    So every target is predicted from its own document alone, the first token of a document from an end of text, as in
    generation; modded-nanogpt counts documents in the same way. The last token of a row is no input that counts.
    """
    following = np.concatenate([documents[:, 1:], documents[:, -1:]], axis=1)
    starts: NDArray[np.int64] = np.maximum(following - 1, 0)
    return starts


class Causal(Objective):
    """A row of n tokens has n - 1 targets. The last token is an input without a target, so that lengths stay even."""

    config: section.Causal

    def batch(self, tokens: NDArray[np.int64], lengths: NDArray[np.int64], keys: Keys) -> tuple[Tensors, Tensor]:
        rows = torch.from_numpy(tokens)
        counted = torch.arange(1, rows.shape[1] + 1) < torch.from_numpy(lengths).unsqueeze(1)
        targets = torch.where(counted, torch.roll(rows, -1, dims=1), IGNORE)
        return {"tokens": rows, "targets": targets}, counted.sum(1)

    def frame_documents(self, documents: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        return after_end_of_text(documents)

    def loss(self, model: Model, batch: Tensors) -> Tensor:
        smoothing = self.config.label_smoothing if model.training else 0.0
        # a user's own family need not take what is not asked for
        options: dict[str, Any] = {"label_smoothing": smoothing} if smoothing else {}
        if "documents" in batch:
            options["documents"] = batch["documents"]
        loss: Tensor = model(batch["tokens"], batch["targets"], **options)
        return loss
