"""Near copies: MinHash over shingles of units, in bands (Broder 1997; Indyk and Motwani 1998).

A pair with Jaccard index s shares a band with probability 1 − (1 − s^rows)^bands: with 14 × 8, 0.92 at 0.8 and 1.00 at
0.9 (README, measured). A shared band only makes a pair a candidate; `sets` give the true index.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa

from pipeline.dedupe.base import Hashes, Method, Sets
from pipeline.kernels import column
from pipeline.kernels.code_points import ORDER
from pipeline.text.unicode import KIND, LETTER, MID_LETTER, OTHER, Tables, tables


class MinHash(Method):
    """MinHash in bands; the permutations are fixed (`kernels.minhash`)."""

    def bands(self, texts: pa.LargeStringArray) -> Hashes:
        bands, rows = self.options.bands, self.options.rows
        signatures = column.signatures(texts, bands * rows, self.options.shingle, plain_tables())
        hashes: Hashes = np.repeat(np.arange(1, bands + 1, dtype=np.uint64)[None] * ORDER, len(texts), axis=0)
        with np.errstate(over="ignore"):
            for row in range(rows):
                hashes = _mix(hashes ^ signatures[:, row::rows].astype(np.uint64))
        return np.maximum(hashes, np.uint64(1))

    def sets(self, texts: pa.LargeStringArray) -> Sets:
        offsets, hashes = column.shingle_hashes(texts, self.options.shingle, plain_tables())
        return Sets((hashes >> np.uint64(32)).astype(np.uint32), offsets)


def _mix(values: Hashes) -> Hashes:
    """One round of MurmurHash3's finaliser: enough for values that are hashes already."""
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    return values ^ (values >> np.uint64(29))


@cache
def plain_tables() -> Tables:
    """Units as usual in near-duplicate detection: an apostrophe separates words, an underscore is a letter."""
    standard = tables()
    classes = standard.classes.copy()
    kinds = classes & KIND
    classes[kinds == MID_LETTER] = OTHER
    classes[ord("_")] = LETTER
    classes.flags.writeable = False
    return standard._replace(classes=classes)
