"""Two texts to be told apart: what follows from what does not (BERT), or the right order from the wrong one (ALBERT,
Lan et al. 2020, arXiv 1909.11942).

Both come from one document: the longest in the row that has two sentences, parted where a sentence begins. What else is
in the row is not used: rows that hold one document each lose nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.keyed_rng import Keys, uniform
from training.models.layers import IGNORE
from training.objectives.reading import Flags, Row

Kind = Literal["none", "next_sentence", "sentence_order"]
IN_ORDER, NOT = 0, 1


@dataclass(frozen=True)
class Text:
    """Tokens of one document or row, and for each whether it goes on with the word before it."""

    tokens: Row
    goes_on: Flags

    def cut(self, start: int, stop: int) -> Text:
        goes_on = self.goes_on[start:stop].copy()
        goes_on[:1] = False
        return Text(self.tokens[start:stop], goes_on)


@dataclass(frozen=True)
class Pair:
    """`label`: IN_ORDER, NOT, or IGNORE where there is no second text."""

    texts: tuple[Text, ...]
    label: int


@dataclass(frozen=True)
class Document:
    """The part of a row that pairs are made of. `borders`: where its sentences begin, the first left out."""

    text: Text
    borders: NDArray[np.int64]


def document(row: Text, begins: Flags, end_of_text: int) -> Document | None:
    """The longest document of a row that has two sentences; None if none has."""
    ends = np.flatnonzero(row.tokens == end_of_text)
    found: Document | None = None
    for start, stop in zip([0, *(ends + 1)], [*ends, len(row.tokens)], strict=True):
        if found is None or stop - start > len(found.text.tokens):
            borders = np.flatnonzero(begins[start:stop])
            borders = borders[borders > 0]
            if len(borders):
                found = Document(row.cut(start, stop), borders)
    return found


def pairs(kind: Kind, documents: Sequence[Document | None], rows: Sequence[Text], keys: Keys) -> list[Pair]:
    """A pair for each row; the row as it is where it holds no document to part."""
    draws = uniform(keys, 3, "pair").tolist()
    found = []
    for at, (own, row, (border, order, start)) in enumerate(zip(documents, rows, draws, strict=True)):
        if own is None:
            found.append(Pair((row,), IGNORE))
            continue
        middle = int(own.borders[int(border * len(own.borders))])
        first, second = own.text.cut(0, middle), own.text.cut(middle, len(own.text.tokens))
        if order < 0.5:
            found.append(Pair((first, second), IN_ORDER))
        elif kind == "sentence_order":
            found.append(Pair((second, first), NOT))
        else:
            other = _piece(documents, at ^ 1, start, len(second.tokens))
            found.append(Pair((first, second), IN_ORDER) if other is None else Pair((first, other), NOT))
    return found


def _piece(documents: Sequence[Document | None], at: int, start: float, most: int) -> Text | None:
    """Up to `most` tokens of another row's document, from where a sentence of it begins. None without such a row."""
    other = documents[at] if at < len(documents) else None
    if other is None:
        return None
    begins = [0, *other.borders.tolist()]
    first = begins[int(start * len(begins))]
    return other.text.cut(first, min(first + most, len(other.text.tokens)))
