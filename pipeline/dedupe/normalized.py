"""Texts that are equal once normalized: NFKC, lower case and white space folded, then a hash of 128 bits of our own.

Most documents are already in form NFKC and are only checked; Polars normalises the others first.
"""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dedupe.base import Hashes, Method, Sets
from pipeline.kernels import column
from pipeline.kernels.text_hash import hash_folded, needs_normalization
from pipeline.text.unicode import CODE_POINTS, COMPOSES, tables

# code points above are rare ideographs, private use or unassigned: their texts are always normalised
LAST = 0x20000


class Normalized(Method):
    """Removes texts that are equal once normalized."""

    def bands(self, texts: pa.LargeStringArray) -> Hashes:
        return np.empty((len(texts), 0), np.uint64)

    def sets(self, texts: pa.LargeStringArray) -> Sets:
        return Sets(np.empty(0, np.uint32), np.zeros(len(texts) + 1, np.int64))


def to_nfkc(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    """The texts in form NFKC; the same array if all of them are."""
    needs_change = np.zeros(len(texts), np.bool_)
    needs_normalization(*column.buffers(texts), unchanged_by_nfkc(), needs_change)
    if not needs_change.any():
        return texts
    import polars as pl  # 0.2 s, which few corpora of English need

    changed = pl.Series(texts.filter(pa.array(needs_change))).str.normalize("NFKC").to_arrow().cast(pa.large_string())
    # row i is the i-th changed text where it needed change, else as it was
    take = np.where(needs_change, len(texts) + np.cumsum(needs_change) - 1, np.arange(len(texts)))
    return pa.concat_arrays([texts, changed]).take(pa.array(take))


def normalized_hashes(texts: pa.LargeStringArray) -> Hashes:
    """One row per text, which must be in form NFKC: 128 bits of the folded text and 64 of the text itself."""
    hashes = np.empty((len(texts), 3), np.uint64)
    hash_folded(*column.buffers(texts), tables(), hashes)
    return hashes


@cache
def unchanged_by_nfkc() -> NDArray[np.bool_]:
    """For each code point, whether NFKC leaves it unchanged in every text.

    From the tables of this Python. Those of a newer one only change which texts are normalised, not the result.
    """
    unchanged = np.zeros(CODE_POINTS, np.bool_)
    for point in range(LAST):
        character = chr(point)
        assigned = unicodedata.category(character) not in ("Cn", "Cs")
        unchanged[point] = assigned and unicodedata.is_normalized("NFKC", character)
    unchanged[tables().classes & COMPOSES > 0] = False
    return unchanged
