"""Word and sentence boundaries of rows: tokens are decoded to text, and its boundaries mapped back to the tokens.

So words do not depend on the tokenizer. They are those of `pipeline.text.words`: runs of letters in scripts with
spaces, and the words of jieba in Chinese (whole word masking, Cui et al. 2021, arXiv 1906.08101). One pass for all the
rows of a batch; about 2 M tokens of English and 1 M of Chinese a CPU-second; memory: their text, several times over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.text import boundaries
from pipeline.tokenizers import token_bytes

TokenRow = NDArray[np.int64]
BoolRow = NDArray[np.bool_]
SEPARATOR = b"\n"  # ends words and sentences


@dataclass(frozen=True)
class TokenBoundaries:
    """For each token of a row: does it continue the word of the token before it; does a sentence begin in it?"""

    continues_word: BoolRow
    begins_sentence: BoolRow


class BoundaryReader:
    """Finds boundaries in rows of one tokenizer. `special`: ids that spell no text; they end words and sentences."""

    def __init__(self, tokenizer: Path, special: TokenRow) -> None:
        # a piece that spells nothing becomes a line break too: every token has a position in the text
        spelled = [text or SEPARATOR for text in token_bytes.load(tokenizer).by_id]
        for token in special.tolist():
            spelled[token] = SEPARATOR
        self._spelled = spelled
        self._separator = int(special[0])
        self._sizes = np.fromiter(map(len, spelled), np.int64, len(spelled))

    def read(self, rows: Sequence[TokenRow]) -> list[TokenBoundaries]:
        """The boundaries of each row."""
        if not rows:
            return []
        separator = np.array([self._separator], np.int64)
        joined = self._read(np.concatenate([tokens for row in rows for tokens in (row, separator)]))
        ends = np.cumsum([len(row) + 1 for row in rows]).tolist()
        slices = [slice(end - 1 - len(row), end - 1) for row, end in zip(rows, ends, strict=True)]
        return [TokenBoundaries(joined.continues_word[row], joined.begins_sentence[row]) for row in slices]

    def _read(self, row: TokenRow) -> TokenBoundaries:
        text = b"".join([self._spelled[token] for token in row.tolist()]).decode("utf-8", "surrogateescape")
        points = boundaries.to_code_points(text)
        sizes = _sizes_bytes(points)
        point_starts = np.cumsum(sizes) - sizes
        starts = np.cumsum(self._sizes[row]) - self._sizes[row]
        # the code point in which each token begins, and whether it begins inside it
        at = np.searchsorted(point_starts, starts, side="right") - 1
        inside = point_starts[at] != starts
        # a space that is a token of its own belongs to the word after it, as where both are one token
        continues_word = _in_word(points, starts, at) | inside | boundaries.follows_space(points)[at]
        continues_word[:1] = False
        words = np.maximum.accumulate(
            np.where(continues_word, 0, np.arange(len(row)))
        )  # where each token's word begins
        begins = np.zeros(len(row), np.bool_)
        first = point_starts[boundaries.starts_sentence(points)]
        begins[words[np.searchsorted(starts, first, side="right") - 1]] = True
        return TokenBoundaries(continues_word, begins)


def _in_word(points: boundaries.Utf32, starts: TokenRow, at: TokenRow) -> BoolRow:
    """Whether each token, which begins at byte `starts` in code point `at`, begins inside a word."""
    if not boundaries.is_han(points).any():
        return boundaries.continues_unit(points)[at]
    from pipeline.kernels import column  # jieba's data and compiled loops: 1 s, for Chinese alone

    readable = np.where(_escaped(points), ord("?"), points).astype(np.uint32)  # of as many bytes
    text = pa.array([readable.tobytes().decode("utf-32-le")], pa.large_string())
    _, begin, stop = column.words(text)
    word = np.searchsorted(begin, starts) - 1  # the last one that begins before
    return (word >= 0) & (starts < stop[word])


def _escaped(points: boundaries.Utf32) -> BoolRow:
    """Bytes that are no UTF-8: a row may begin or end inside a character."""
    return (points >= 0xDC80) & (points <= 0xDCFF)


def _sizes_bytes(points: boundaries.Utf32) -> NDArray[np.int64]:
    """The size of each code point in UTF-8; an escaped byte counts one."""
    sizes = 1 + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000).astype(np.int64)
    return np.where(_escaped(points), 1, sizes)
