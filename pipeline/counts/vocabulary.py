"""Which tokens are counted as words, and how the table is split into parts; both follow from the token counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.counts.section import Count
from pipeline.kernels.cooccurrence import BORDER, LEFT_OUT

# the largest number of cells of a part, unless a single word has more; the largest number of parts
PART_CELLS, PARTS = 1 << 23, 256


@dataclass(frozen=True)
class CountedWords:
    """`ids[number]` is the token of a word, `numbers[token]` its number, LEFT_OUT or BORDER. Numbers rise with ids."""

    ids: NDArray[np.int32]
    numbers: NDArray[np.int32]
    parts: NDArray[np.int64]  # the first word number of each part of the table

    @property
    def bits(self) -> int:
        """Bits of a word number; the key of a pair has twice as many."""
        return max(1, int(len(self.ids) - 1).bit_length())


def select_words(counts: NDArray[np.int64], section: Count, *, borders: list[int], unknown: list[int]) -> CountedWords:
    """The words are the tokens with at least `min_count` occurrences, except `borders` and `unknown`."""
    is_word = counts >= section.min_count
    is_word[[*borders, *unknown]] = False
    ids = np.flatnonzero(is_word).astype(np.int32)
    numbers = np.full(len(counts), LEFT_OUT, np.int32)
    numbers[ids] = np.arange(len(ids), dtype=np.int32)
    numbers[borders] = BORDER
    return CountedWords(ids, numbers, _parts(counts[ids], section))


def _parts(counts: NDArray[np.int64], section: Count) -> NDArray[np.int64]:
    """The first word of each part, from the counts: a word has at most as many contexts as places in its windows."""
    contexts = np.minimum(len(counts), counts * section.window * (1 + section.symmetric))
    ends = np.cumsum(contexts)
    cells = max(PART_CELLS, -(-int(contexts.sum()) // PARTS))
    return np.unique(np.concatenate([[0], 1 + np.flatnonzero(np.diff(ends // cells))])).astype(np.int64)
