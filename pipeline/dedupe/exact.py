"""Identical texts, by a hash of 128 bits. Case, white space and Unicode normal forms all make a difference."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.dedupe.base import Hashes
from pipeline.dedupe.normalized import Normalized
from pipeline.kernels import column
from pipeline.kernels.text_hash import hash_plain


class Exact(Normalized):
    """Removes identical texts only."""

    def keys(self, texts: pa.LargeStringArray, normalized: Hashes) -> Hashes:
        return text_hashes(texts)


def text_hashes(texts: pa.LargeStringArray) -> Hashes:
    """Two hashes per text, of its unchanged code points."""
    hashes = np.empty((len(texts), 2), np.uint64)
    hash_plain(*column.buffers(texts), hashes)
    return hashes
