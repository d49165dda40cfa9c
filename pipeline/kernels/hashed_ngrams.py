"""A language model of hashed n-grams of characters with stupid backoff (Brants et al. 2007): counts, and bits.

Every n-gram of 1 to `order` folded code points has a cell of one table; n-grams of one cell are counted together, so
memory is fixed and no key is kept. The probability of a code point is the count of the longest n-gram that ends with it
and was seen, divided by the count of what precedes it there; each shorter context multiplies it by 0.4.

The model holds logarithms of counts in steps of 1/2048 bit, 0 for none: a score is a sum of integers, so its bits are
the same on every processor. Speeds are in training/annotation/LEARNED.md.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.kernels.code_points import Integer
from pipeline.kernels.compiler import inlined, kernel
from pipeline.kernels.folded_text import NGRAM_SEED, NgramCells, cell_of, extend_ngram, fold_text
from pipeline.text.unicode import Bytes, CodePoints, Tables

Logarithms = npt.NDArray[np.uint16]
BatchRows = npt.NDArray[np.int64]
STEPS = 2048  # in a bit
BACKOFF_STEPS = 2707  # -log2(0.4)
FULL = np.uint32(0xFFFFFFFF)


@kernel
def count_ngrams(
    data: Bytes,
    offsets: BatchRows,
    rows: BatchRows,
    tables: Tables,
    order: Integer,
    points: CodePoints,
    counts: NgramCells,
    totals: BatchRows,
) -> Integer:
    """Add the n-grams of these documents to a table whose size is a power of two, until half of it is used.

    `totals`: code points and used cells, to which this adds. Returns the number of documents that were counted, the
    last one perhaps in part.
    """
    bits, most, counted = table_bits(counts), len(counts) >> 1, len(rows)
    total, used = totals[0], totals[1]
    for position in range(len(rows)):
        if used >= most:
            counted = position
            break
        d = rows[position]
        n = fold_text(data, offsets[d], offsets[d + 1], tables, points)
        for i in range(n):
            if used >= most:
                break
            total += 1
            value = NGRAM_SEED
            for k in range(min(order, i + 1)):
                value = extend_ngram(value, points[i - k])
                cell = cell_of(value, bits)
                count = counts[cell]
                if count == 0:
                    used += 1
                if count < FULL:
                    counts[cell] = count + np.uint32(1)
    totals[0], totals[1] = total, used
    return counted


@inlined
def table_bits(table: NgramCells | Logarithms) -> Integer:
    """The binary logarithm of the size of a table."""
    bits = 0
    while 1 << bits < len(table):
        bits += 1
    return bits


def to_logarithms(counts: NgramCells) -> Logarithms:
    """1 + the binary logarithms of counts in steps of 1/2048 bit; 0 where nothing was counted."""
    logarithms = np.zeros(len(counts), np.uint16)
    for at in range(0, len(counts), 1 << 20):  # bounds the memory of float64
        part = counts[at : at + (1 << 20)]
        seen = part > 0
        logarithms[at : at + (1 << 20)][seen] = 1 + np.rint(np.log2(part[seen].astype(np.float64)) * STEPS)
    return logarithms


@kernel
def measure_bits(
    data: Bytes,
    offsets: BatchRows,
    rows: BatchRows,
    tables: Tables,
    order: Integer,
    points: CodePoints,
    model: Logarithms,
    total: Integer,
    out: BatchRows,
) -> None:
    """Set out[r] to the steps (1/2048 bit) and the folded code points of document rows[r].

    `total`: the logarithm of all code points that were counted. `current[k]`: the logarithm of the n-gram of k code
    points that ends at the current one, `before[k]` at the one before it; 0 if it was not seen. An unseen code point
    counts as 0.4 of one that was seen once.
    """
    bits = table_bits(model)
    current = np.zeros(order + 1, np.int64)
    before = np.zeros(order + 1, np.int64)
    unseen = order * BACKOFF_STEPS + total - 1
    current[0] = before[0] = total
    for r in range(len(rows)):
        n = fold_text(data, offsets[rows[r]], offsets[rows[r] + 1], tables, points)
        steps = np.int64(0)
        before[1:] = 0
        for i in range(n):
            value = NGRAM_SEED
            longest, contexts = 0, min(order, i + 1)
            current[1:] = 0
            for k in range(1, contexts + 1):
                value = extend_ngram(value, points[i - k + 1])
                current[k] = model[cell_of(value, bits)]
                if current[k] == 0:
                    break
                # a cell that is shared may count more than its context
                if current[k] <= before[k - 1]:
                    longest = k
            if longest == 0:
                steps += unseen
            else:
                steps += (contexts - longest) * BACKOFF_STEPS + before[longest - 1] - current[longest]
            for k in range(1, order + 1):
                before[k] = current[k]
        out[r, 0], out[r, 1] = steps, n
