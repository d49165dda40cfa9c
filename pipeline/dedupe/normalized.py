"""Texts that are equal once normalized: NFKC, lower case and white space folded, then a hash of 128 bits of our own.

Most documents are in form NFKC as they are and are only looked at; the others are normalised first, by Polars.
"""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dedupe.base import Method, Numbers, Sets
from pipeline.kernels import column
from pipeline.kernels.text_hash import hash_folded, needs_normalization
from pipeline.text.unicode import CODE_POINTS, COMPOSES, tables

# beyond lie planes of rare ideographs, of private use and of nothing: normalised to be sure
LAST = 0x20000


class Normalized(Method):
    """Nothing but texts that are equal once normalized."""

    def bands(self, texts: pa.LargeStringArray) -> Numbers:
        return np.empty((len(texts), 0), np.uint64)

    def sets(self, texts: pa.LargeStringArray) -> Sets:
        return Sets(np.empty(0, np.uint32), np.zeros(len(texts) + 1, np.int64))


def normal(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    """The texts in form NFKC."""
    needs = np.zeros(len(texts), np.bool_)
    needs_normalization(*column.buffers(texts), inert(), needs)
    if not needs.any():
        return texts
    changed = pl.Series(texts.filter(pa.array(needs))).str.normalize("NFKC").to_arrow().cast(pa.large_string())
    # row i is the i-th changed text where it needed change, else as it was
    take = np.where(needs, len(texts) + np.cumsum(needs) - 1, np.arange(len(texts)))
    return pa.concat_arrays([texts, changed]).take(pa.array(take))


def keys(texts: pa.LargeStringArray) -> Numbers:
    """A row a text, which must be in form NFKC: 128 bits of the folded text, and 64 of the text as it stands."""
    hashes = np.empty((len(texts), 3), np.uint64)
    hash_folded(*column.buffers(texts), tables(), hashes)
    return hashes


@cache
def inert() -> NDArray[np.bool_]:
    """Of each code point, whether NFKC leaves it alone in every text.

    From this Python's tables; that a newer Python knows more changes who is looked at twice, and no result.
    """
    unchanged = np.zeros(CODE_POINTS, np.bool_)
    for point in range(LAST):
        character = chr(point)
        known = unicodedata.category(character) not in ("Cn", "Cs")
        unchanged[point] = known and unicodedata.is_normalized("NFKC", character)
    unchanged[tables().classes & COMPOSES > 0] = False
    return unchanged
