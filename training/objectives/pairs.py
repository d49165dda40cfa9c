"""Pairs of texts for BERT's next-sentence prediction, or for ALBERT's sentence-order prediction (Lan et al. 2020, arXiv
1909.11942).

Both texts come from one document: the longest in the row that has two sentences, split where a sentence begins. The
rest of the row is not used: rows that hold one document each lose nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.keyed_rng import Keys, uniform
from training.models.layers import IGNORE
from training.objectives.boundaries import BoolRow, TokenRow

PairTask = Literal["none", "next_sentence", "sentence_order"]
IN_ORDER, NOT_IN_ORDER = 0, 1


@dataclass(frozen=True)
class TokenText:
    """Tokens of one document or row, and for each whether it continues the word of the token before it."""

    tokens: TokenRow
    continues_word: BoolRow

    def cut(self, start: int, stop: int) -> TokenText:
        continues_word = self.continues_word[start:stop].copy()
        continues_word[:1] = False
        return TokenText(self.tokens[start:stop], continues_word)


@dataclass(frozen=True)
class TextPair:
    """`label`: IN_ORDER, NOT_IN_ORDER, or IGNORE where there is no second text."""

    texts: tuple[TokenText, ...]
    label: int


@dataclass(frozen=True)
class SplitDocument:
    """A document of a row that can be split. `borders`: where its sentences begin, without the first."""

    text: TokenText
    borders: NDArray[np.int64]


def document(row: TokenText, begins: BoolRow, end_of_text: int) -> SplitDocument | None:
    """The longest document of a row that has two sentences; None if none has."""
    ends = np.flatnonzero(row.tokens == end_of_text)
    longest: SplitDocument | None = None
    for start, stop in zip([0, *(ends + 1)], [*ends, len(row.tokens)], strict=True):
        if longest is None or stop - start > len(longest.text.tokens):
            borders = np.flatnonzero(begins[start:stop])
            borders = borders[borders > 0]
            if len(borders):
                longest = SplitDocument(row.cut(start, stop), borders)
    return longest


def pairs(
    task: PairTask, documents: Sequence[SplitDocument | None], rows: Sequence[TokenText], keys: Keys
) -> list[TextPair]:
    """A pair for each row; the row itself where it has no document that can be split."""
    draws = uniform(keys, 3, "pair").tolist()
    selected = []
    for index, (own, row, (border, order, start)) in enumerate(zip(documents, rows, draws, strict=True)):
        if own is None:
            selected.append(TextPair((row,), IGNORE))
            continue
        middle = int(own.borders[int(border * len(own.borders))])
        first, second = own.text.cut(0, middle), own.text.cut(middle, len(own.text.tokens))
        if order < 0.5:
            selected.append(TextPair((first, second), IN_ORDER))
        elif task == "sentence_order":
            selected.append(TextPair((second, first), NOT_IN_ORDER))
        else:
            stranger = _excerpt(documents, index ^ 1, start, len(second.tokens))
            selected.append(
                TextPair((first, second), IN_ORDER) if stranger is None else TextPair((first, stranger), NOT_IN_ORDER)
            )
    return selected


def _excerpt(documents: Sequence[SplitDocument | None], index: int, start: float, max_tokens: int) -> TokenText | None:
    """Up to `max_tokens` tokens of another row's document, from the beginning of a sentence. None without one."""
    document = documents[index] if index < len(documents) else None
    if document is None:
        return None
    begins = [0, *document.borders.tolist()]
    first = begins[int(start * len(begins))]
    return document.text.cut(first, min(first + max_tokens, len(document.text.tokens)))
