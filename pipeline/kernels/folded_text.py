"""Folded text, as models of n-grams of characters read it, and hashes of those n-grams.

A document becomes its code points in lower case and compatibility form, with one blank for each run of white space and
one at each end. 200 to 500 MB of text per CPU-second.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.kernels.code_points import Integer, decode
from pipeline.kernels.compiler import inlined
from pipeline.text.unicode import FOLDS, KIND, NEWLINE, SPACE, Bytes, CodePoints, Tables

BLANK = np.int32(32)
# the offset basis of FNV-1a, and two odd multipliers (the golden ratio; from the finalizer of SplitMix64's author)
NGRAM_SEED = np.uint64(14695981039346656037)
NGRAM_STEP = np.uint64(0x9E3779B97F4A7C15)
NGRAM_SPREAD = np.uint64(0xD6E8FEB86659FD93)


def folded_scratch(largest: int) -> CodePoints:
    """Space for the folded text of a document of up to `largest` bytes."""
    return np.empty(largest + 2, np.int32)


@inlined
def fold_text(data: Bytes, start: Integer, end: Integer, tables: Tables, out: CodePoints) -> Integer:
    """Write the folded text of the bytes [start, end). Returns its number of code points, 0 if it is blank.

    At most end - start + 2 are written: of a text of ligatures that stand for whole phrases (U+FDFA) the end is cut.
    """
    classes, fold, more, _ = tables
    most = end - start + 1  # one place is kept for the last blank
    out[0] = BLANK
    n, at = 1, start
    while at < end and n < most:
        point, size = decode(data, at)
        at += size
        flags = classes[point]
        if flags & KIND == SPACE or flags & KIND == NEWLINE:
            if out[n - 1] != BLANK:
                out[n] = BLANK
                n += 1
            continue
        folded = fold[point] if flags & FOLDS else np.int32(point)
        if folded >= 0:
            out[n] = folded
            n += 1
            continue
        several = -1 - folded
        for k in range(several + 1, several + 1 + min(more[several], most - n)):
            out[n] = more[k]
            n += 1
    if out[n - 1] != BLANK:
        out[n] = BLANK
        n += 1
    return n if n > 1 else 0


@inlined
def extend_ngram(value: np.uint64, point: Integer) -> np.uint64:
    """The hash of an n-gram with one more code point before it; the first begins with NGRAM_SEED."""
    value = (value ^ np.uint64(point)) * NGRAM_STEP
    return value ^ (value >> np.uint64(29))


@inlined
def cell_of(value: np.uint64, bits: Integer) -> np.uint64:
    """The cell of an n-gram in a table of 2 ** bits cells."""
    return (value * NGRAM_SPREAD) >> np.uint64(64 - bits)


NgramCells = npt.NDArray[np.uint32]
