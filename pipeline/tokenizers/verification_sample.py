"""Which documents are encoded twice, by the fast path and by the reference: decided by their ids alone.

A document is selected when its keyed hash is below a threshold that the whole corpus settles: about one in a thousand,
and in a small corpus the documents with the smallest numbers, up to 64 of them or 128 kB. So the same documents are
compared whatever the number of workers, the order of arrival, or the attempt.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.tokenizers import id_hash

SHARE = 1e-3
LEAST_DOCUMENTS, LEAST_BYTES = 64, 128 << 10
PURPOSE = "verification"


def smallest(ids: pa.Array, known: NDArray[np.int64]) -> NDArray[np.int64]:
    """The smallest numbers of documents, of `ids` and of those `known` before: what `threshold` needs of a file."""
    return np.sort(np.concatenate([known, id_hash.hash_ids(ids, PURPOSE)]))[:LEAST_DOCUMENTS]


def threshold(numbers: Iterable[int], mean_bytes: float) -> int:
    """The largest number that is compared, from the smallest of all files and the mean size of a document."""
    ordered = sorted(numbers)
    count = min(LEAST_DOCUMENTS, max(1, int(LEAST_BYTES / max(mean_bytes, 1))))
    return max([int(SHARE * id_hash.HASH_RANGE), *ordered[:count]])


def selected(ids: pa.Array, threshold: int) -> NDArray[np.bool_]:
    """Which of the documents are compared."""
    return np.asarray(id_hash.hash_ids(ids, PURPOSE) <= threshold)
