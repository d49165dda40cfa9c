"""Three published definitions of "characters in repeated n-grams", to compare with other pipelines; ours is `later`.

The paper (Rae et al. 2021, A.1.1) does not say whether the first copy counts. `every`: all occurrences, each character
once (RedPajama). `later`: second and later occurrences, each character once. `skipping`: datatrove's scan, which jumps
over a match and never records the n-grams in between. The stages do not use this file: it is written for clarity.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.kernels import column, units
from pipeline.kernels.code_points import Integer
from pipeline.kernels.compiler import inlined, kernel
from pipeline.kernels.hash_table import Hashes, Slots, mark_repeats
from pipeline.kernels.hash_table import scratch as slots_scratch
from pipeline.kernels.minhash import hash_shingle
from pipeline.kernels.units import CountArray, Units
from pipeline.text import unicode
from pipeline.text.unicode import Bytes, Tables

COLUMNS = ("every", "later", "skipping", "top_count", "unit_characters")


def repetition_variants(text: pa.Array, n: int) -> dict[str, CountArray]:
    """Characters in repeated n-grams by each definition, the count of the most frequent one, characters in units."""
    data, offsets = column.buffers(text)
    most = units.max_units(int(np.diff(offsets).max(initial=0)))
    out = np.zeros((len(offsets) - 1, len(COLUMNS)), np.int64)
    grams, scratch = np.empty(most, np.uint64), units.scratch(2 * most)
    count_all(data, offsets, unicode.tables(), n, scratch, grams, slots_scratch(most), out)
    return {name: out[:, at] for at, name in enumerate(COLUMNS)}


@kernel
def count_all(
    data: Bytes,
    offsets: CountArray,
    tables: Tables,
    n: Integer,
    scratch: Units,
    grams: Hashes,
    slots: Slots,
    out: CountArray,
) -> None:
    """Fill a row of COLUMNS for every document."""
    counts = np.empty(units.WIDTH, np.int64)
    for d in range(len(offsets) - 1):
        number = max(0, units.split(data, offsets[d], offsets[d + 1], tables, scratch, counts) - n + 1)
        for i in range(number):
            grams[i] = hash_shingle(scratch, i, i + n)
        mark_repeats(grams, number, slots)
        out[d, 1] = covered(scratch, n, slots.repeated, number)
        out[d, 2] = skipping_scan(scratch, n, grams, number)
        out[d, 4] = counts[units.UNIT_CHARACTERS]
        out[d, 3] = mark_repeated(grams, number, slots)
        out[d, 0] = covered(scratch, n, slots.repeated, number)


@inlined
def covered(scratch: Units, n: Integer, marked: Bytes, number: Integer) -> Integer:
    """The number of characters in marked n-grams, each counted once."""
    total, end = 0, 0
    for i in range(number):
        if marked[i]:
            total += scratch.end[i + n] - scratch.end[max(i, end)]
            end = i + n
    return total


@inlined
def mark_repeated(grams: Hashes, number: Integer, slots: Slots) -> Integer:
    """Mark every occurrence of an n-gram that occurs more than once. Returns the largest number of occurrences."""
    order = np.argsort(grams[:number])
    best, at = 0, 0
    while at < number:
        end = at
        while end < number and grams[order[end]] == grams[order[at]]:
            slots.repeated[order[end]] = end > at
            end += 1
        slots.repeated[order[at]] = end > at + 1
        best, at = max(best, end - at), end
    return best


@inlined
def skipping_scan(scratch: Units, n: Integer, grams: Hashes, number: Integer) -> Integer:
    """datatrove's scan: an n-gram that was recorded counts completely and is skipped; a new one is recorded."""
    recorded = {grams[0]: True}
    recorded.clear()
    total, at = 0, 0
    while at < number:
        if grams[at] in recorded:
            total += scratch.end[at + n] - scratch.end[at]
            at += n
        else:
            recorded[grams[at]] = True
            at += 1
    return total
