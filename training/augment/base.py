"""What an augmentation is: a change of training rows that depends on the row's key alone, never on worker or order.

Off unless named. A row never grows, so that nothing else of the trainer knows. Held-out rows are never changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.config import Component
from pipeline.core.errors import UserError
from pipeline.core.files import read_json
from pipeline.tokenizers import reference_encoder
from training.augment import specials
from training.keyed_rng import Keys

Tokens = NDArray[np.int64]
Part = tuple[int, int]


class Augmentation:
    """The base of an augmentation; both methods leave what they are given as it is.

    tokens: B, T, of which the first `lengths[b]` of row b count; keys: B, from which all chance comes.
    """

    name: str

    def __init__(self, options: Any, tokenizer: Path) -> None:
        self.options, self.tokenizer = options, tokenizer
        self.specials = specials.of(read_json(tokenizer))
        reference = reference_encoder.load(tokenizer)
        self.end_of_text, self.end_of_sentence = reference.end_of_text, reference.sentence

    def rows(self, tokens: Tokens, lengths: Tokens, keys: Keys) -> tuple[Tokens, Tokens]:
        """Rows and their lengths, before the objective makes inputs and targets of them."""
        return tokens, lengths

    def inputs(self, tokens: Tokens, lengths: Tokens, keys: Keys) -> Tokens:
        """What the model reads, after the objective; targets stay as they are."""
        return tokens

    def ids(self, *, length: int) -> list[int]:
        """The ids of the special tokens that are written into rows of so many tokens.

        Raises: UserError where the tokenizer lacks one.
        """
        own = Component(name=self.name, options=self.options.model_dump())
        if wrong := specials.problem([own], self.specials, length=length):
            raise UserError(f"pretrain.augment: {wrong}")
        return [self.specials[word] for word in specials.needed(own, length=length)]


def documents(row: Tokens, end_of_text: int) -> list[Part]:
    """Where the documents of a row lie, [start, end), without the end of text; those that hold something."""
    ends = np.flatnonzero(row == end_of_text)
    starts, stops = [0, *(ends + 1).tolist()], [*ends.tolist(), len(row)]
    return [(start, stop) for start, stop in zip(starts, stops, strict=True) if start < stop]


def laid(rows: list[Tokens], like: Tokens) -> tuple[Tokens, Tokens]:
    """Rows of any length as one array of the shape of `like`, filled up with 0, and their lengths."""
    found, lengths = np.zeros_like(like), np.array([len(row) for row in rows], np.int64)
    for at, row in enumerate(rows):
        found[at, : len(row)] = row
    return found, lengths
