"""A text as a model is shown it, and the one vector that is made of what the model answers: for training and judging.

For a family that knows texts between [CLS] and [SEP] (`Model.framed`) a text stands between them, else as it is. Its
vector is the mean over its tokens, marks too, of the last layer: also for families that read to the right alone.
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

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Frame:
    """The tokens around a text, if the tokenizer has them, and the one that parts documents."""

    marks: tuple[int, int] | None
    end_of_text: int

    @classmethod
    def read(cls, tokenizer: Path) -> Frame:
        tree = read_json(tokenizer)
        added = tokenizer_json.added_tokens(tree)
        spelled = special_tokens.spelling(added)
        frame = None if spelled is None else (added[spelled[0]], added[spelled[1]])
        return cls(frame, tokenizer_json.end_of_text_id(tree, tokenizer.name))

    def size(self, model: Model) -> int:
        """How many tokens `around` adds to a text of this model."""
        return 2 if self.marks and model.framed else 0

    def around(self, model: Model, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Texts (B, T; their lengths: B) as this model is shown them, and their lengths there; no text stays none."""
        if not (self.marks and model.framed):
            return tokens, lengths
        first, last = self.marks
        rows = F.pad(tokens, (1, 1), value=last)
        rows[:, 0] = first
        rows.scatter_(1, (lengths + 1).unsqueeze(1), last)
        return rows, torch.where(lengths > 0, lengths + 2, 0)


def rows_of(texts: Sequence[Ids], width: int, fill: int) -> tuple[Tensor, Tensor]:
    """Texts of at most `width` tokens as rows, B, width, and their lengths (B); `fill` is never looked at."""
    rows = np.full((len(texts), width), fill, np.int64)
    for row, text in zip(rows, texts, strict=True):
        row[: len(text)] = text
    return torch.from_numpy(rows), torch.tensor([len(text) for text in texts], dtype=torch.long)


def embed(model: Model, frame: Frame, tokens: Tensor, lengths: Tensor) -> Tensor:
    """The vectors of texts (B, T; their lengths: B): B, C in fp32 whatever the model computes in."""
    tokens, lengths = frame.around(model, tokens, lengths)
    return mean(model.hidden(tokens, lengths=lengths), lengths)


def mean(hidden: Tensor, lengths: Tensor) -> Tensor:
    """The mean of each row over its first `lengths` tokens: B, T, C → B, C; nought where there are none."""
    with torch.autocast(hidden.device.type, enabled=False):
        inside = torch.arange(hidden.shape[1], device=hidden.device) < lengths.unsqueeze(1)  # B, T
        summed = (exact(hidden) * inside.unsqueeze(2)).sum(1)
        return summed / lengths.clamp_min(1).unsqueeze(1)


def exact(x: Tensor) -> Tensor:
    """fp32, or fp64 where it came so."""
    return x if x.dtype == torch.float64 else x.float()
