"""MinHash signatures and exact shingle sets over units, for near-duplicate detection.

A shingle is `size` consecutive folded units; a document with fewer units has one shingle, its whole text. The loop over
permutations vectorizes without fast-math, so results are the same bits on every processor.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.kernels.code_points import ORDER, PRIME, SEED, Integer, decode, mix
from pipeline.kernels.compiler import inlined, inner_kernel
from pipeline.kernels.hash_table import Hashes
from pipeline.kernels.units import Units
from pipeline.text.unicode import KIND, NEWLINE, SPACE, Bytes

UInt32s = npt.NDArray[np.uint32]
LARGEST = np.uint32(0xFFFFFFFF)


def permutations(number: Integer) -> tuple[UInt32s, UInt32s]:
    """Multipliers (odd) and masks of `number` permutations of 32 bits. They are fixed: signatures stay comparable."""
    stream = np.arange(1, 2 * number + 1, dtype=np.uint64) * ORDER
    stream ^= stream >> np.uint64(31)
    stream *= np.uint64(0xBF58476D1CE4E5B9)
    words = (stream >> np.uint64(32)).astype(np.uint32)
    return words[:number] | np.uint32(1), words[number:]


@inlined
def count_shingles(n: Integer, size: Integer) -> Integer:
    return max(1, n - size + 1)


@inlined
def hash_shingle(units: Units, at: Integer, stop: Integer) -> np.uint64:
    """The hash of units[at:stop]."""
    value = np.uint64(stop - at)
    for i in range(at, stop):
        value = value * ORDER + units.hash[i]
    return mix(value)


@inlined
def hash_without_units(data: Bytes, start: Integer, end: Integer, classes: Bytes) -> np.uint64:
    """The hash of a text without units (emoji, symbols): its code points except white space."""
    value, at = SEED, start
    while at < end:
        point, step = decode(data, at)
        if classes[point] & KIND != SPACE and classes[point] & KIND != NEWLINE:
            value = (value ^ np.uint64(point)) * PRIME
        at += step
    return mix(value)


@inner_kernel
def hash_shingles(
    data: Bytes, start: Integer, end: Integer, classes: Bytes, units: Units, n: Integer, size: Integer, out: Hashes
) -> Integer:
    """Write the hashes of all shingles of a document of n units, in order. Returns their number."""
    if n == 0:
        out[0] = hash_without_units(data, start, end, classes)
        return 1
    number = count_shingles(n, size)
    for i in range(number):
        out[i] = hash_shingle(units, i, min(i + size, n))
    return number


@inner_kernel
def minhash(hashes: Hashes, number: Integer, multipliers: UInt32s, masks: UInt32s, out: UInt32s) -> None:
    """Set out[k] to the minimum of permutation k over the upper halves of hashes[:number]."""
    for k in range(len(out)):
        out[k] = LARGEST
    for i in range(number):
        x = np.uint32(hashes[i] >> np.uint64(32))
        for k in range(len(out)):
            value = np.uint32((x ^ masks[k]) * multipliers[k])
            value = np.uint32(value ^ np.uint32(value >> np.uint32(15)))
            value = np.uint32(value * np.uint32(0x2C1B3C6D))
            out[k] = value if value < out[k] else out[k]
