"""Repeated n-grams of units, of all sizes from 1 to 10. A size is counted only where the size below it repeats.

These are Gopher's repetition signals (Rae et al. 2021, table A1), interpreted as the share of characters in units (no
spaces, no punctuation) that would be removed if all repeats but the first copy were cut, each character counted once. A
document without a repeated n-gram costs nothing for larger n. About 350 MB of English or 160 MB of Chinese per
CPU-second.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.kernels.code_points import ORDER, Integer, mix
from pipeline.kernels.compiler import inlined, inner_kernel
from pipeline.kernels.hash_table import Hashes, Ints, clear
from pipeline.kernels.units import CountArray, Units
from pipeline.text.unicode import Bytes

# indexes of the counts of `measure_repeats`: column n is for n-grams of n units
PAIRS = 1  # ordered pairs of positions with the same unit
TOP = (2, 3, 4)  # characters of the most frequent n-gram, all its occurrences; 0 where none occurs twice
DUPLICATE = (5, 6, 7, 8, 9, 10)  # characters within second or later occurrences, each once
LARGEST = 10
WIDTH = LARGEST + 1


class Grams(NamedTuple):
    """Scratch space for one document.

    `run[i]`: hash of the n-gram at unit i; `live`: positions where n-grams may repeat, ascending; `occurrences[i]`: of
    the n-gram whose first position is i; `repeats[i]`: whether the n-gram at i occurs elsewhere too.
    """

    run: Hashes
    live: Ints
    occurrences: Ints
    repeats: Bytes
    table: Ints


def scratch(largest_units: int) -> Grams:
    """Allocate scratch space for documents of up to `largest_units`."""
    most = largest_units + 1
    return Grams(
        np.empty(most, np.uint64),
        np.empty(most, np.int32),
        np.empty(most, np.int32),
        np.empty(most, np.uint8),
        np.empty(max(8, 1 << (2 * most - 1).bit_length()), np.int32),
    )


@inner_kernel
def measure_repeats(units: Units, n: Integer, grams: Grams, counts: CountArray) -> None:
    """Fill `counts` for a document of n units."""
    counts[:WIDTH] = 0
    for i in range(n):
        grams.run[i], grams.live[i] = units.hash[i], i
    live = n
    for size in range(1, LARGEST + 1):
        if live < 2:
            break
        counts[size] = count_size(units, grams, live, size)
        if size < LARGEST:
            live = narrow(units, grams, live, size, n)


@inlined
def count_size(units: Units, grams: Grams, live: Integer, size: Integer) -> Integer:
    """Count the n-grams of this size at live positions. Returns the value of `counts[size]`.

    `best`, `best_length`: occurrences and characters of the most frequent n-gram so far, the longest among equals;
    `covered`: the end of the units counted so far.
    """
    mask = clear(grams.table, live)
    pairs = best = best_length = duplicate = covered = np.int64(0)
    for k in range(live):
        i = grams.live[k]
        slot = grams.run[i] & mask
        while grams.table[slot] >= 0 and grams.run[grams.table[slot]] != grams.run[i]:
            slot = (slot + np.uint64(1)) & mask
        first_position = grams.table[slot]
        if first_position < 0:
            grams.table[slot], grams.occurrences[i], grams.repeats[i] = i, 1, 0
            continue
        grams.occurrences[first_position] += 1
        grams.repeats[first_position] = grams.repeats[i] = 1
        occurrences = grams.occurrences[first_position]
        if size == 1:
            pairs += 2 * (occurrences - 1)
        elif size <= 4:
            length = np.int64(units.end[i + size] - units.end[i])
            if occurrences > best or (occurrences == best and length > best_length):
                best, best_length = occurrences, length
        else:
            duplicate += units.end[i + size] - units.end[max(i, covered)]
            covered = i + size
    if size == 1:
        return pairs
    return best * best_length if size <= 4 else duplicate


@inlined
def narrow(units: Units, grams: Grams, live: Integer, size: Integer, n: Integer) -> Integer:
    """Keep the positions where the next size may repeat: this size repeats there and one unit later."""
    live_after = 0
    for k in range(live - 1):
        i = grams.live[k]
        if grams.repeats[i] and grams.live[k + 1] == i + 1 and grams.repeats[i + 1] and i + size < n:
            grams.run[i] = mix(grams.run[i] * ORDER + units.hash[i + size])
            grams.live[live_after] = i
            live_after += 1
    return live_after
