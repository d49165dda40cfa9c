"""Which tokens are counted as words, and how the table is divided: both follow from how often each token occurs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.counts.section import Count
from pipeline.kernels.cooccurrence import BORDER, LEFT_OUT

# cells that a part of the table may hold, and parts that a table may have if its words' rows are no longer than that
PART_CELLS, PARTS = 1 << 23, 256


@dataclass(frozen=True)
class WordTable:
    """`ids[number]` is the token of a word, `numbers[token]` its number, LEFT_OUT or BORDER; numbers rise with ids."""

    ids: NDArray[np.int32]
    numbers: NDArray[np.int32]
    parts: NDArray[np.int64]  # where each part of the table begins, in words' numbers

    @property
    def bits(self) -> int:
        """Of a word's number: a pair of words is twice as wide."""
        return max(1, int(len(self.ids) - 1).bit_length())


def vocabulary(counts: NDArray[np.int64], section: Count, *, borders: list[int], unknown: list[int]) -> WordTable:
    """Words are the tokens that occur often enough and mean something."""
    is_word = counts >= section.min_count
    is_word[[*borders, *unknown]] = False
    ids = np.flatnonzero(is_word).astype(np.int32)
    numbers = np.full(len(counts), LEFT_OUT, np.int32)
    numbers[ids] = np.arange(len(ids), dtype=np.int32)
    numbers[borders] = BORDER
    return WordTable(ids, numbers, _parts(counts[ids], section))


def _parts(counts: NDArray[np.int64], section: Count) -> NDArray[np.int64]:
    """Where parts begin, from the counts alone: a word has no more contexts than its windows have places."""
    contexts = np.minimum(len(counts), counts * section.window * (1 + section.symmetric))
    ends = np.cumsum(contexts)
    cells = max(PART_CELLS, -(-int(contexts.sum()) // PARTS))
    return np.unique(np.concatenate([[0], 1 + np.flatnonzero(np.diff(ends // cells))])).astype(np.int64)
