"""What is known of a document while copies are sought: its row, the length of its text, and its vector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Members = NDArray[np.void]
"""Records of the type `member_type`."""


def member_type(width: int) -> np.dtype[np.void]:
    """A document: its row in the corpus, bytes of its text, and its vector."""
    return np.dtype([("document", "<u8"), ("length", "<u4"), ("vector", "<i2", (width,))])


def sample_order(documents: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """A hash of each row and the seed (the finalizer of SplitMix64, public domain): who is in a sample, and where."""
    with np.errstate(over="ignore"):
        value = (documents + np.uint64(seed % (1 << 63))) * np.uint64(0x9E3779B97F4A7C15)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(value ^ (value >> np.uint64(31)))
