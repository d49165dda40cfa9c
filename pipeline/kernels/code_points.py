"""Functions that all kernels use: UTF-8 decoding, and 64-bit hashing of code points."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from pipeline.kernels.compiler import inlined
from pipeline.text.unicode import Bytes, CodePoints

Integer: TypeAlias = Any
"""A machine integer: any integer type of numpy or Python to the type checker, 64 bits to numba."""

# FNV-1a (Fowler, Noll, Vo), over code points instead of bytes
SEED = np.uint64(14695981039346656037)
PRIME = np.uint64(1099511628211)
# odd, from the golden ratio; makes a combination of hashes depend on their order
ORDER = np.uint64(0x9E3779B97F4A7C15)


@inlined
def mix(value: np.uint64) -> np.uint64:
    """Let every bit of the result depend on every bit of the value (the finalizer of MurmurHash3, public domain)."""
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@inlined
def decode(data: Bytes, at: Integer) -> tuple[Integer, Integer]:
    """The code point that begins at byte `at`, and its number of bytes. The text must be valid UTF-8."""
    lead = np.int64(data[at])
    if lead < 0x80:
        return lead, 1
    second = np.int64(data[at + 1]) & 0x3F
    if lead < 0xE0:
        return (lead & 0x1F) << 6 | second, 2
    third = np.int64(data[at + 2]) & 0x3F
    if lead < 0xF0:
        return (lead & 0x0F) << 12 | second << 6 | third, 3
    return (lead & 0x07) << 18 | second << 12 | third << 6 | (np.int64(data[at + 3]) & 0x3F), 4


@inlined
def extend(value: np.uint64, fold: CodePoints, more: CodePoints, point: Integer) -> np.uint64:
    """Add a folded code point (none, one or several code points) to a hash."""
    folded = fold[point]
    if folded >= 0:
        return (value ^ np.uint64(folded)) * PRIME
    at = -1 - folded
    for k in range(at + 1, at + 1 + more[at]):
        value = (value ^ np.uint64(more[k])) * PRIME
    return value
