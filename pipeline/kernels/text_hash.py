"""Hashes of whole documents: 128 bits that do not depend on case, compatibility forms or white space.

About 300 MB of text per CPU-second. Text with combining marks must be in form NFKC (`pipeline.dedupe.normalized`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.kernels.code_points import ORDER, PRIME, SEED, decode, mix
from pipeline.kernels.compiler import kernel
from pipeline.text.unicode import FOLDS, KIND, NEWLINE, SPACE, Bytes, Tables

BLANK = np.uint64(32)


@kernel
def hash_folded(data: Bytes, offsets: npt.NDArray[np.int64], tables: Tables, out: npt.NDArray[np.uint64]) -> None:
    """Set out[d] to two 64-bit hashes of the folded document d and one of its unchanged text.

    `hash_a`, `hash_b`: independent hashes over the folded code points; `hash_raw`: over the unchanged code points;
    `blank`: white space was read and more text may follow.
    """
    classes, fold, more, _ = tables
    for d in range(len(offsets) - 1):
        hash_a, hash_b, hash_raw, blank = SEED, ORDER, SEED, False
        at, end = offsets[d], offsets[d + 1]
        while at < end:
            point, size = decode(data, at)
            at += size
            hash_raw = (hash_raw ^ np.uint64(point)) * PRIME
            flags = classes[point]
            if flags & KIND == SPACE or flags & KIND == NEWLINE:
                blank = hash_a != SEED
                continue
            if blank:
                hash_a, hash_b, blank = (
                    (hash_a ^ BLANK) * PRIME,
                    (hash_b + BLANK) * ORDER ^ hash_b >> np.uint64(29),
                    False,
                )
            folded_to = fold[point] if flags & FOLDS else point
            if folded_to >= 0:
                value = np.uint64(folded_to)
                hash_a, hash_b = (hash_a ^ value) * PRIME, (hash_b + value) * ORDER ^ hash_b >> np.uint64(29)
            else:
                start = -folded_to
                for k in range(start, start + more[start - 1]):
                    value = np.uint64(more[k])
                    hash_a, hash_b = (hash_a ^ value) * PRIME, (hash_b + value) * ORDER ^ hash_b >> np.uint64(29)
        out[d, 0], out[d, 1], out[d, 2] = mix(hash_a), mix(hash_b), mix(hash_raw)


@kernel
def hash_plain(data: Bytes, offsets: npt.NDArray[np.int64], out: npt.NDArray[np.uint64]) -> None:
    """Set out[d] to two 64-bit hashes of the unchanged document d; the first equals the third of `hash_folded`."""
    for d in range(len(offsets) - 1):
        hash_a, hash_b = SEED, ORDER
        at, end = offsets[d], offsets[d + 1]
        while at < end:
            point, size = decode(data, at)
            at += size
            value = np.uint64(point)
            hash_a, hash_b = (hash_a ^ value) * PRIME, (hash_b + value) * ORDER ^ hash_b >> np.uint64(29)
        out[d, 0], out[d, 1] = mix(hash_a), mix(hash_b)


@kernel
def needs_normalization(
    data: Bytes, offsets: npt.NDArray[np.int64], inert: npt.NDArray[np.bool_], out: npt.NDArray[np.bool_]
) -> None:
    """Set out[d] if document d holds a code point that is not inert. About 1 GB of ASCII per CPU-second."""
    for d in range(len(offsets) - 1):
        at, end = offsets[d], offsets[d + 1]
        while at < end:
            if data[at] < 0x80:
                at += 1
                continue
            point, size = decode(data, at)
            at += size
            if not inert[point]:
                out[d] = True
                break
