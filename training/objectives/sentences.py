"""A text as a model is shown it, and the one vector that is made of what the model answers: for training and judging.

A text stands between [CLS] and [SEP] where the tokenizer has them, else as it is. Its vector is the mean over its
tokens, marks too, of the last layer: for models that read to the right as well (README: it beats the last token's).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.core.files import read_json
from pipeline.tokenizers.base import END_OF_TEXT
from training.models.base import Model
from training.objectives import marks

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Frame:
    """The tokens around a text, and the one that parts documents; what fills a row up is never looked at."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    end_of_text: int

    @classmethod
    def read(cls, tokenizer: Path) -> Frame:
        added = {token["content"]: token["id"] for token in read_json(tokenizer)["added_tokens"]}
        end_of_text, spelled = added[END_OF_TEXT], marks.spelling(added)
        if spelled is None:
            return cls((), (), end_of_text)
        first, last, _ = spelled
        return cls((added[first],), (added[last],), end_of_text)

    @property
    def marks(self) -> int:
        return len(self.before) + len(self.after)

    def rows(self, texts: Sequence[Ids], width: int) -> tuple[Tensor, Tensor]:
        """Texts of at most `width` tokens, framed, as rows (B, width + marks), and their lengths (B); none is 0."""
        rows = np.full((len(texts), width + self.marks), self.end_of_text, np.int64)
        lengths = np.zeros(len(texts), np.int64)
        for at, text in enumerate(texts):
            if len(text):
                framed = [*self.before, *text, *self.after]
                rows[at, : len(framed)], lengths[at] = framed, len(framed)
        return torch.from_numpy(rows), torch.from_numpy(lengths)


def embed(model: Model, tokens: Tensor, lengths: Tensor) -> Tensor:
    """The vectors of framed texts (B, T; their lengths: B): B, C in fp32 whatever the model computes in."""
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
