"""Repeated n-grams of units, of all sizes from 1 to 10. A size is counted only where the size below it repeats.

These are Gopher's repetition signals (Rae et al. 2021, table A1), interpreted as the share of characters in units (no
spaces, no punctuation) that would be removed if all repeats but the first copy were cut, each character counted once. A
document without a repeated n-gram costs nothing for larger n. About 500 MB of English or 180 MB of Chinese per
CPU-second.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.kernels.code_points import ORDER, Integer, mix
from pipeline.kernels.compiler import bare_inner
from pipeline.kernels.hash_table import (
    Hashes,
    Ints,
    PositionTable,
    begin,
    first_position,
    is_recorded,
    positions_scratch,
)
from pipeline.kernels.units import CountArray, Units

# indexes of the counts of `measure_repeats`: column n is for n-grams of n units
LISTED = 0  # distinct units that are words of a list
PAIRS = 1  # ordered pairs of positions with the same unit
TOP = (2, 3, 4)  # characters of the most frequent n-gram, all its occurrences; 0 where none occurs twice
DUPLICATE = (5, 6, 7, 8, 9, 10)  # characters within second or later occurrences, each once
LARGEST_TOP = max(TOP)
LARGEST = 10
WIDTH = LARGEST + 1


class Grams(NamedTuple):
    """Scratch space for one document.

    `run[i]`: hash of the n-gram at unit i; `live`: positions where n-grams may repeat, ascending; `first[i]`: the first
    position of the n-gram at i; `occurrences[i]`: of the n-gram whose first position is i.
    """

    run: Hashes
    live: Ints
    first: Ints
    occurrences: Ints
    positions: PositionTable


def scratch(largest_units: int) -> Grams:
    """Allocate scratch space for documents of up to `largest_units`."""
    most = largest_units + 1
    live, first, occurrences = (np.empty(most, np.int32) for _ in range(3))
    return Grams(np.empty(most, np.uint64), live, first, occurrences, positions_scratch(most))


@bare_inner
def measure_repeats(units: Units, n: Integer, words: Hashes, grams: Grams, counts: CountArray) -> None:
    """Fill `counts` for a document of n units. `words`: hashes of a list of words, then zeros."""
    counts[:WIDTH] = 0
    mask, base = begin(grams.positions, n, n)
    counts[PAIRS] = count_units(units.hash, n, grams, mask, base)
    for k in range(len(words)):
        if words[k] == 0:
            break
        counts[LISTED] += is_recorded(words[k], units.hash, words[k] & mask, grams.positions, mask, base)
    live = first_live(grams, n)
    for k in range(live):
        i = grams.live[k]
        grams.run[i] = mix(units.hash[i] * ORDER + units.hash[i + 1])
    for size in range(2, LARGEST + 1):
        if live < 2:
            break
        counts[size] = count_size(units, grams, live, size, n)
        if size < LARGEST:
            live = narrow(grams, live, size, n)
            for k in range(live):
                i = grams.live[k]
                grams.run[i] = mix(grams.run[i] * ORDER + units.hash[i + size])


@bare_inner
def count_units(hashes: Hashes, n: Integer, grams: Grams, mask: np.uint64, base: Integer) -> Integer:
    """Find the first position of every unit and count its occurrences. Returns the value of `counts[PAIRS]`."""
    pairs: Integer = 0
    for i in range(n):
        first = first_position(hashes, i, hashes[i] & mask, grams.positions, mask, base)
        before = np.int64(grams.occurrences[first]) * (first < np.uint64(i))
        grams.first[i], grams.occurrences[first] = first, before + 1
        pairs += before
    return 2 * pairs


@bare_inner
def first_live(grams: Grams, n: Integer) -> Integer:
    """The positions where two units may repeat: this unit repeats, and the next one. Fills `live` without a branch.
    Returns their number."""
    live = 0
    repeats = n > 0 and grams.occurrences[grams.first[0]] > 1
    for i in range(n - 1):
        following = grams.occurrences[grams.first[i + 1]] > 1
        grams.live[live] = i
        live += repeats & following
        repeats = following
    return live


@bare_inner
def count_size(units: Units, grams: Grams, live: Integer, size: Integer, n: Integer) -> Integer:
    """Count the n-grams of this size at live positions. Returns the value of `counts[size]`.

    `best`, `best_length`: occurrences and characters of the most frequent n-gram so far, the longest among equals;
    `covered`: the end of the units counted so far.
    """
    mask, base = begin(grams.positions, live, n)
    best_length = duplicate = covered = np.int64(0)
    best = np.int64(2)
    for k in range(live):
        i = grams.live[k]
        first = first_position(grams.run, i, grams.run[i] & mask, grams.positions, mask, base)
        occurrences = np.int64(grams.occurrences[first]) * (first < np.uint64(i)) + 1
        grams.first[i], grams.occurrences[first] = first, occurrences
        if size > LARGEST_TOP:
            repeats = np.int64(occurrences > 1)
            duplicate += repeats * (units.end[i + size] - units.end[max(i, covered)])
            covered = max(covered, repeats * (i + size))
        elif occurrences >= best:
            length = np.int64(units.end[i + size] - units.end[i])
            best_length = length if occurrences > best else max(best_length, length)
            best = occurrences
    return best * best_length if size <= LARGEST_TOP else duplicate


@bare_inner
def narrow(grams: Grams, live: Integer, size: Integer, n: Integer) -> Integer:
    """Keep the positions where the next size may repeat: this size repeats there and one unit later. Returns their
    number."""
    live_after = 0
    for k in range(live - 1):
        i, following = grams.live[k], grams.live[k + 1]
        stays = (grams.occurrences[grams.first[i]] > 1) & (grams.occurrences[grams.first[following]] > 1)
        grams.live[live_after] = i
        live_after += stays & (following == i + 1) & (i + size < n)
    return live_after
