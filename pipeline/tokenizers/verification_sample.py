"""Selects the documents that are encoded by the fast encoder and by the reference, to compare their ids.

A document is selected when the hash of its id is at most a threshold computed from the whole corpus: about one document
in a thousand, and in a small corpus the documents with the smallest hashes, up to 64 documents or 128 kB. The same
documents are therefore compared whatever the number of workers, the order of arrival, or the attempt.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.tokenizers import id_hash

SHARE = 1e-3
LEAST_DOCUMENTS = 64
LEAST_BYTES = 128 << 10
PURPOSE = "verification"


def smallest(ids: pa.Array, previous: NDArray[np.int64]) -> NDArray[np.int64]:
    """The smallest hashes among those of `ids` and the `previous` ones: what `threshold` needs from a file."""
    return np.sort(np.concatenate([previous, id_hash.hash_ids(ids, PURPOSE)]))[:LEAST_DOCUMENTS]


def threshold(hashes: Iterable[int], mean_bytes: float) -> int:
    """The largest hash that is selected, from the smallest hashes of all files and the mean size of a document."""
    ordered = sorted(hashes)
    count = min(LEAST_DOCUMENTS, max(1, int(LEAST_BYTES / max(mean_bytes, 1))))
    return max([int(SHARE * id_hash.HASH_RANGE), *ordered[:count]])


def selected(ids: pa.Array, threshold: int) -> NDArray[np.bool_]:
    """Which of the documents are compared."""
    return np.asarray(id_hash.hash_ids(ids, PURPOSE) <= threshold)
