"""A document's name by its text: a 128-bit hash that case, compatibility forms and white space do not change.

About 300 MB of text a CPU-second. The text must be in form NFKC where marks combine (`pipeline.dedupe.normalized`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.kernels.compiler import kernel
from pipeline.kernels.points import ORDER, PRIME, SEED, decode, mix
from pipeline.text.unicode import FOLDS, KIND, NEWLINE, SPACE, Bytes, Tables

BLANK = np.uint64(32)


@kernel
def folded(data: Bytes, offsets: npt.NDArray[np.int64], tables: Tables, out: npt.NDArray[np.uint64]) -> None:
    """out[d] = two 64-bit hashes of document d folded, then one of its text as it is.

    `one`, `two`: independent lanes over the folded code points; `raw`: over the bytes' code points;
    `blank`: white space was read and more text may follow.
    """
    classes, fold, more, _ = tables
    for d in range(len(offsets) - 1):
        one, two, raw, blank = SEED, ORDER, SEED, False
        at, end = offsets[d], offsets[d + 1]
        while at < end:
            point, size = decode(data, at)
            at += size
            raw = (raw ^ np.uint64(point)) * PRIME
            flags = classes[point]
            if flags & KIND == SPACE or flags & KIND == NEWLINE:
                blank = one != SEED
                continue
            if blank:
                one, two, blank = (one ^ BLANK) * PRIME, (two + BLANK) * ORDER ^ two >> np.uint64(29), False
            folded_to = fold[point] if flags & FOLDS else point
            if folded_to >= 0:
                value = np.uint64(folded_to)
                one, two = (one ^ value) * PRIME, (two + value) * ORDER ^ two >> np.uint64(29)
            else:
                first = -folded_to
                for k in range(first, first + more[first - 1]):
                    value = np.uint64(more[k])
                    one, two = (one ^ value) * PRIME, (two + value) * ORDER ^ two >> np.uint64(29)
        out[d, 0], out[d, 1], out[d, 2] = mix(one), mix(two), mix(raw)


@kernel
def unfolded(data: Bytes, offsets: npt.NDArray[np.int64], out: npt.NDArray[np.uint64]) -> None:
    """out[d] = two 64-bit hashes of document d as it is; the first is the third of `folded`."""
    for d in range(len(offsets) - 1):
        one, two = SEED, ORDER
        at, end = offsets[d], offsets[d + 1]
        while at < end:
            point, size = decode(data, at)
            at += size
            value = np.uint64(point)
            one, two = (one ^ value) * PRIME, (two + value) * ORDER ^ two >> np.uint64(29)
        out[d, 0], out[d, 1] = mix(one), mix(two)


@kernel
def needing(
    data: Bytes, offsets: npt.NDArray[np.int64], inert: npt.NDArray[np.bool_], out: npt.NDArray[np.bool_]
) -> None:
    """out[d] = document d holds a code point that is not inert. About 1 GB of ASCII a CPU-second."""
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
