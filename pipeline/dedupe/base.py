"""What a way of recognising copies is: from texts to band hashes (who may be alike) and to sets (who truly is)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dedupe.section import Dedupe

Numbers = NDArray[np.uint64]
"""Documents by number: their row in the corpus, files in order of their names, from 0."""
Offsets = NDArray[np.int64]


class Sets(NamedTuple):
    """Sorted arrays of distinct 32-bit hashes, end to end: set i is values[offsets[i]:offsets[i + 1]]."""

    values: NDArray[np.uint32]
    offsets: Offsets

    @property
    def sizes(self) -> Offsets:
        return np.diff(self.offsets)


class Method(ABC):
    """Recognises documents that are alike. Texts with equal keys are copies for every method, before any comparison."""

    def __init__(self, options: Dedupe) -> None:
        self.options = options

    def keys(self, texts: pa.LargeStringArray, normalized: Numbers) -> Numbers:
        """Two hashes a text, equal for copies without comparison; `normalized`: those of the normalized texts."""
        return normalized

    @abstractmethod
    def bands(self, texts: pa.LargeStringArray) -> Numbers:
        """A row of hashes a text: two texts that share one in the same column are compared; 0 is shared with none."""

    @abstractmethod
    def sets(self, texts: pa.LargeStringArray) -> Sets:
        """What is compared: the Jaccard index of two texts is that of their sets."""
