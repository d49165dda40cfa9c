"""Sentence embeddings, for training and evaluation: the inputs of a model for a text, and the vector of its outputs.

A family that was trained on [CLS] text [SEP] (`Model.reads_special_tokens`) reads a text between them, others the bare
text. The vector is the mean of the last layer over all tokens, special ones included, also for causal families.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pipeline.core.files import read_json
from pipeline.tokenizers import tokenizer_json
from training.models.base import Model
from training.objectives import special_tokens

TokenRow = NDArray[np.int64]


@dataclass(frozen=True)
class TextTemplate:
    """The ids before and after a text, if the tokenizer has them, and the one that separates documents."""

    around_ids: tuple[int, int] | None
    end_of_text: int

    @classmethod
    def read(cls, tokenizer: Path) -> TextTemplate:
        tree = read_json(tokenizer)
        added = tokenizer_json.added_tokens(tree)
        spelled = special_tokens.spelling(added)
        around_ids = None if spelled is None else (added[spelled[0]], added[spelled[1]])
        return cls(around_ids, tokenizer_json.end_of_text_id(tree, tokenizer.name))

    def size(self, model: Model) -> int:
        """The number of tokens that `apply` adds to a text of this model."""
        return 2 if self.around_ids and model.reads_special_tokens else 0

    def apply(self, model: Model, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The inputs of this model for texts (B, T; lengths: B), and their lengths; an empty text stays empty."""
        if not (self.around_ids and model.reads_special_tokens):
            return tokens, lengths
        first, last = self.around_ids
        rows = F.pad(tokens, (1, 1), value=last)
        rows[:, 0] = first
        rows.scatter_(1, (lengths + 1).unsqueeze(1), last)
        return rows, torch.where(lengths > 0, lengths + 2, 0)


def rows_of(texts: Sequence[TokenRow], width: int, fill: int) -> tuple[Tensor, Tensor]:
    """Texts of at most `width` tokens as rows, B, width, and their lengths (B); `fill` is never read."""
    rows = np.full((len(texts), width), fill, np.int64)
    for row, text in zip(rows, texts, strict=True):
        row[: len(text)] = text
    return torch.from_numpy(rows), torch.tensor([len(text) for text in texts], dtype=torch.long)


def embed(model: Model, template: TextTemplate, tokens: Tensor, lengths: Tensor) -> Tensor:
    """The vectors of texts (B, T; their lengths: B): B, C in fp32 whatever the model computes in."""
    tokens, lengths = template.apply(model, tokens, lengths)
    return mean(model.hidden(tokens, lengths=lengths), lengths)


def mean(hidden: Tensor, lengths: Tensor) -> Tensor:
    """The mean of each row over its first `lengths` tokens: B, T, C → B, C; zero where there are none."""
    with torch.autocast(hidden.device.type, enabled=False):
        inside = torch.arange(hidden.shape[1], device=hidden.device) < lengths.unsqueeze(1)  # B, T
        summed = (exact(hidden) * inside.unsqueeze(2)).sum(1)
        return summed / lengths.clamp_min(1).unsqueeze(1)


def exact(x: Tensor) -> Tensor:
    """fp32, or fp64 where x is fp64."""
    return x if x.dtype == torch.float64 else x.float()
