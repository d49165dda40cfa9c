"""Which tokens of a row are one word, and where its sentences begin: rows turned back into text and read as text.

So words are the same whatever the tokenizer, and are those of `pipeline.text.words`: runs of letters in scripts that
have spaces, of Chinese the words of jieba (whole word masking, Cui et al. 2021, arXiv 1906.08101). One pass for all the
rows of a batch; about 2 M tokens of English and 1 M of Chinese a CPU-second; memory: their text, several times over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.text import borders
from pipeline.tokenizers import token_bytes

Row = NDArray[np.int64]
Flags = NDArray[np.bool_]
PART = b"\n"  # ends words and sentences


@dataclass(frozen=True)
class Reading:
    """For each token of a row: does it go on with the word of the token before it; does a sentence begin in it?"""

    goes_on: Flags
    begins: Flags


class Reader:
    """Reads rows of one tokenizer. `special`: ids that stand for no text; they end words and sentences."""

    def __init__(self, tokenizer: Path, special: Row) -> None:
        # a piece that spells nothing stands as a line break too: every token has a place in the text
        spelled = [text or PART for text in token_bytes.load(tokenizer).spelled]
        for token in special.tolist():
            spelled[token] = PART
        self._spelled, self._part = spelled, int(special[0])
        self._sizes = np.fromiter(map(len, spelled), np.int64, len(spelled))

    def read(self, rows: Sequence[Row]) -> list[Reading]:
        """The reading of each row."""
        if not rows:
            return []
        between = np.array([self._part], np.int64)
        joined = np.concatenate([part for row in rows for part in (row, between)])
        whole = self._read(joined)
        ends = np.cumsum([len(row) + 1 for row in rows]).tolist()
        places = [slice(end - 1 - len(row), end - 1) for row, end in zip(rows, ends, strict=True)]
        return [Reading(whole.goes_on[place], whole.begins[place]) for place in places]

    def _read(self, row: Row) -> Reading:
        text = b"".join([self._spelled[token] for token in row.tolist()]).decode("utf-8", "surrogateescape")
        points = borders.points(text)
        sizes = _bytes_of(points)
        point_starts = np.cumsum(sizes) - sizes
        starts = np.cumsum(self._sizes[row]) - self._sizes[row]
        # the code point in which each token begins, and whether it begins inside it
        at = np.searchsorted(point_starts, starts, side="right") - 1
        inside = point_starts[at] != starts
        # a space that is a token of its own belongs to what it stands before, as where it is one token with it
        goes_on = _word_goes_on(points, starts, at) | inside | borders.follows_space(points)[at]
        goes_on[:1] = False
        words = np.maximum.accumulate(np.where(goes_on, 0, np.arange(len(row))))  # where each token's word begins
        begins = np.zeros(len(row), np.bool_)
        first = point_starts[borders.sentence_begins(points)]
        begins[words[np.searchsorted(starts, first, side="right") - 1]] = True
        return Reading(goes_on, begins)


def _word_goes_on(points: borders.Points, starts: Row, at: Row) -> Flags:
    """Whether each token, which begins at byte `starts` in code point `at`, does so within a word."""
    if not borders.is_han(points).any():
        return borders.unit_goes_on(points)[at]
    from pipeline.kernels import column  # jieba's data and compiled loops: 1 s, for Chinese alone

    readable = np.where(_escaped(points), ord("?"), points).astype(np.uint32)  # of as many bytes
    text = pa.array([readable.tobytes().decode("utf-32-le")], pa.large_string())
    _, begin, stop = column.words(text)
    word = np.searchsorted(begin, starts) - 1  # the last that begins before
    return (word >= 0) & (starts < stop[word])


def _escaped(points: borders.Points) -> Flags:
    """Bytes that are no UTF-8: a row may begin or end inside a character."""
    return (points >= 0xDC80) & (points <= 0xDCFF)


def _bytes_of(points: borders.Points) -> NDArray[np.int64]:
    """How many bytes of UTF-8 each code point takes; an escaped byte takes one."""
    sizes = 1 + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000).astype(np.int64)
    return np.where(_escaped(points), 1, sizes)
