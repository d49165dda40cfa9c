"""The base class of augmentations: a change of training rows that depends on each row's key, never on worker or order.

Off unless named. A row never grows, so the rest of the trainer needs no change. Held-out rows are never augmented.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.config import Component, Section
from pipeline.core.errors import UserError
from pipeline.core.files import read_json
from pipeline.tokenizers import reference_encoder
from training.augment import specials
from training.keyed_rng import Keys

TokenRows = NDArray[np.int64]
"""Token ids: B, T, or one row of them; also the lengths of rows."""
Uniforms = NDArray[np.float64]
"""Random numbers in [0, 1), from `keyed_rng.uniform`."""
DocumentRange = tuple[int, int]


class Augmentation:
    """An augmentation overrides `rows`, `inputs`, or both; here both return their tokens unchanged.

    tokens: B, T, of which the first `lengths[b]` of row b count; keys: B, the only source of randomness.
    """

    name: str

    def __init__(self, options: Section, tokenizer: Path) -> None:
        self.options = options
        self.tokenizer = tokenizer
        self.specials = specials.ids_of(read_json(tokenizer))
        reference = reference_encoder.load(tokenizer)
        self.end_of_text = reference.end_of_text
        self.end_of_sentence = reference.sentence

    def rows(self, tokens: TokenRows, lengths: TokenRows, keys: Keys) -> tuple[TokenRows, TokenRows]:
        """Rows and their lengths, before the objective makes inputs and targets of them."""
        return tokens, lengths

    def inputs(self, tokens: TokenRows, lengths: TokenRows, keys: Keys) -> TokenRows:
        """The inputs of the model, after the objective; targets do not change."""
        return tokens

    def special_ids(self, *, length: int) -> list[int]:
        """The ids of the special tokens that this augmentation writes into rows of `length` tokens.

        Raises: UserError where the tokenizer lacks one.
        """
        component = Component(name=self.name, options=self.options.model_dump())
        if problem := specials.problem([component], self.specials, length=length):
            raise UserError(f"pretrain.augment: {problem}")
        return [self.specials[token] for token in specials.required(component, length=length)]


def documents(row: TokenRows, end_of_text: int) -> list[DocumentRange]:
    """The documents of a row as [start, end), without the end of text; empty ones are left out."""
    ends = np.flatnonzero(row == end_of_text)
    starts = [0, *(ends + 1).tolist()]
    stops = [*ends.tolist(), len(row)]
    return [(start, stop) for start, stop in zip(starts, stops, strict=True) if start < stop]


def pad_rows(rows: list[TokenRows], like: TokenRows) -> tuple[TokenRows, TokenRows]:
    """Rows of any length as one array of the shape of `like`, padded with 0, and their lengths."""
    padded = np.zeros_like(like)
    lengths = np.array([len(row) for row in rows], np.int64)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = row
    return padded, lengths
