"""What the n-grams of a scan mean: per document the passages that items have, and what is left when they are cut.

A passage is a run of n-grams that overlap; it belongs to the item that has most of them, of equal ones the first in the
order of the files. Only documents with a passage are looked at, in Python.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from pipeline.decontamination.index import ItemIndex
from pipeline.kernels.contamination import Hits
from pipeline.text.words import spans


@dataclass(frozen=True)
class Passage:
    """Characters [start, end) of a document, the index of an item that has them, and how many n-grams they share."""

    item: int
    start: int
    end: int
    ngrams: int


def without(hits: Hits, ignored: NDArray[np.int64]) -> Hits:
    """The hits but for those of ignored keys."""
    if not len(ignored) or not len(hits.key):
        return hits
    kept = ~np.isin(hits.key, ignored)
    return Hits(*(array[kept] for array in hits))


def by_document(hits: Hits) -> Iterator[tuple[int, list[tuple[int, int, int]]]]:
    """(document, its hits as first unit, number of units and key), in the order of the documents."""
    rows = zip(*(array.tolist() for array in hits), strict=True)
    for document, of_document in groupby(rows, key=lambda row: int(row[0])):
        yield document, [(unit, size, key) for _, unit, size, key in of_document]


def passages(text: str, hits: Sequence[tuple[int, int, int]], index: ItemIndex) -> list[Passage]:
    """The passages of a document, in the order of its text."""
    positions = list(spans(text))
    runs: list[list[int]] = []  # first and last unit (exclusive) of a passage, and its items
    for unit, size, key in hits:
        if runs and unit < runs[-1][1]:
            runs[-1][1] = max(runs[-1][1], unit + size)
        else:
            runs.append([unit, unit + size])
        runs[-1].append(int(index.item[key]))
    result = []
    for first, last, *items in runs:
        item = min(Counter(items).items(), key=lambda pair: (-pair[1], pair[0]))[0]
        result.append(Passage(item, positions[first][0], positions[last - 1][1], len(items)))
    return result


def cut(text: str, found_passages: Sequence[Passage], *, margin: int, min_piece: int) -> list[str]:
    """The pieces that remain when passages and `margin` characters around them are cut out; shorter pieces go too."""
    pieces, at = [], 0
    for passage in found_passages:
        pieces.append(text[at : max(at, passage.start - margin)])
        at = max(at, min(len(text), passage.end + margin))
    pieces.append(text[at:])
    return [piece.strip() for piece in pieces if len(piece.strip()) >= max(1, min_piece)]
