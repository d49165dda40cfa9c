"""Identical texts: equal to the byte, by a hash of 128 bits. Case, white space and forms of a character all count."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.dedupe.base import Numbers
from pipeline.dedupe.normalized import Normalized
from pipeline.kernels import column
from pipeline.kernels.text_hash import hash_plain


class Exact(Normalized):
    """Nothing but identical texts."""

    def keys(self, texts: pa.LargeStringArray, normalized: Numbers) -> Numbers:
        return text_hashes(texts)


def text_hashes(texts: pa.LargeStringArray) -> Numbers:
    """Two hashes a text, of its code points as they are."""
    hashes = np.empty((len(texts), 2), np.uint64)
    hash_plain(*column.buffers(texts), hashes)
    return hashes
