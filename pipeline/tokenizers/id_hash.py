"""A hash of each document id: the same on every machine, independent of the order of the documents.

The tokenizer's sample and the validation split select the documents whose hash is small. About 1 GB of ids a second.
"""

from __future__ import annotations

import zlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

HASH_BITS = 53  # JSON represents integers of up to 53 bits exactly
HASH_RANGE = 1 << HASH_BITS

_MULTIPLIERS = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))


def hash_ids(ids: pa.Array, purpose: str) -> NDArray[np.int64]:
    """A number in [0, HASH_RANGE) for each id; the hashes of different purposes are independent."""
    if not len(ids):
        return np.empty(0, np.int64)
    sizes = pc.binary_length(ids).to_numpy(zero_copy_only=False)
    width = -(-max(int(sizes.max()), 1) // 8) * 8
    # padded to one width with NUL, which no id contains, so that the ids form a matrix of 64-bit words
    padded = pc.binary_join_element_wise(
        ids, pc.binary_repeat(pa.scalar("\0"), pa.array(width - sizes, pa.int32())), ""
    )
    data = np.frombuffer(padded.buffers()[2], np.uint8)[: width * len(ids)]
    words = data.view("<u8").reshape(len(ids), width // 8)
    mixed = np.full(len(ids), zlib.crc32(purpose.encode()), np.uint64)
    for column in range(words.shape[1]):
        mixed = np.where(sizes > 8 * column, _mix(mixed ^ words[:, column]), mixed)
    hashes: NDArray[np.int64] = (mixed >> np.uint64(64 - HASH_BITS)).astype(np.int64)
    return hashes


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of MurmurHash3: every bit of the word changes every bit of the result."""
    for multiplier in _MULTIPLIERS:
        values = (values ^ (values >> np.uint64(33))) * multiplier
    return values ^ (values >> np.uint64(33))
