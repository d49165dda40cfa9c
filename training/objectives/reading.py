"""Which tokens of a row are one word, and where its sentences begin: a row turned back into text and read as text.

So words are the same whatever the tokenizer: runs of letters in scripts with spaces, the words of `pipeline.text.words`
in Chinese (whole word masking, Cui et al. 2021, arXiv 1906.08101).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.text import borders
from pipeline.tokenizers import pieces

Row = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Reading:
    """For each token of a row: does it go on with the word of the token before it; does a sentence begin in it?"""

    goes_on: Flags
    begins: Flags


class Reader:
    """Reads rows of one tokenizer. `special`: ids that stand for no text; they end words and sentences."""

    def __init__(self, tokenizer: Path, special: Row) -> None:
        # a piece that spells nothing stands as a line break too: every token has a place in the text
        spelled = [text or b"\n" for text in pieces.read(tokenizer).spelled]
        for token in special.tolist():
            spelled[token] = b"\n"
        self._spelled = spelled
        self._sizes = np.fromiter(map(len, spelled), np.int64, len(spelled))

    def read(self, row: Row) -> Reading:
        """The reading of one row."""
        if not len(row):
            return Reading(np.zeros(0, np.bool_), np.zeros(0, np.bool_))
        text = b"".join([self._spelled[token] for token in row.tolist()]).decode("utf-8", "surrogateescape")
        points = borders.points(text)
        # the code point in which each token begins, and whether it begins inside it
        starts = np.cumsum(self._sizes[row]) - self._sizes[row]
        point_starts = np.cumsum(_bytes_of(points)) - _bytes_of(points)
        at = np.searchsorted(point_starts, starts, side="right") - 1
        inside = point_starts[at] != starts
        # a space that is a token of its own belongs to what it stands before, as where it is one token with it
        goes_on = borders.unit_goes_on(points)[at] | inside | borders.follows_space(points)[at]
        goes_on[:1] = False
        words = np.maximum.accumulate(np.where(goes_on, 0, np.arange(len(row))))  # where each token's word begins
        begins = np.zeros(len(row), np.bool_)
        first = point_starts[borders.sentence_begins(points)]
        begins[words[np.searchsorted(starts, first, side="right") - 1]] = True
        return Reading(goes_on, begins)


def _bytes_of(points: borders.Points) -> NDArray[np.int64]:
    """How many bytes of UTF-8 each code point takes; an escaped byte takes one."""
    escaped = (points >= 0xDC80) & (points <= 0xDCFF)
    sizes = 1 + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000).astype(np.int64)
    return np.where(escaped, 1, sizes)
