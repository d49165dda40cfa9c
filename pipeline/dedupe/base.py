"""The interface of a deduplication method: band hashes select possible pairs, sets decide which are similar."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dedupe.section import Dedupe

RowNumbers = NDArray[np.uint64]
"""Documents by their row in the corpus, counted from 0 through the files in the order of their names."""
Hashes = NDArray[np.uint64]
Indices = NDArray[np.int64]


class Sets(NamedTuple):
    """Sorted arrays of distinct 32-bit hashes in one array: set i is values[offsets[i]:offsets[i + 1]]."""

    values: NDArray[np.uint32]
    offsets: Indices

    @property
    def sizes(self) -> Indices:
        return np.diff(self.offsets)


class Method(ABC):
    """Recognises similar documents. Texts with equal keys are copies, without any comparison."""

    def __init__(self, options: Dedupe) -> None:
        self.options = options

    def keys(self, texts: pa.LargeStringArray, normalized: Hashes) -> Hashes:
        """Two hashes per text; equal ones mean copies. `normalized`: the hashes of the normalized texts."""
        return normalized

    @abstractmethod
    def bands(self, texts: pa.LargeStringArray) -> Hashes:
        """One row of hashes per text. Texts that share a hash in a column are compared; 0 never matches."""

    @abstractmethod
    def sets(self, texts: pa.LargeStringArray) -> Sets:
        """One set per text; the similarity of two texts is the Jaccard index of their sets."""
