"""Polynomial hashes of words of ASCII letters: the hash that `english_tokens` defines, without a chain of products."""

from __future__ import annotations

import numpy as np

from pipeline.kernels.byte_masks import eight_bytes
from pipeline.kernels.code_points import Integer
from pipeline.kernels.compiler import bare_inlined, bare_inner
from pipeline.kernels.token_affixes import FACTOR
from pipeline.text.english_tokens import PRIME
from pipeline.text.unicode import Bytes

POWERS = tuple(np.uint64(pow(PRIME, exponent, 1 << 64)) for exponent in range(9))
EIGHTHS = tuple(np.uint64(8 * place) for place in range(8))
BYTE = np.uint64(0xFF)


@bare_inlined
def hash_letters(data: Bytes, at: Integer, letters: Integer) -> np.uint64:
    """The hash of 1 to LONGEST_WORD letters, as a sum of products that do not wait for each other."""
    if letters <= 8:
        return hash_eight(eight_bytes(data, at) << np.uint64(8 * (8 - letters)))
    early = hash_eight(eight_bytes(data, at) << np.uint64(8 * (16 - letters)))
    return early * POWERS[8] + hash_eight(eight_bytes(data, at + letters - 8))


@bare_inlined
def hash_eight(letters: np.uint64) -> np.uint64:
    """The hash of a word of eight bytes; zeros before a shorter one do not change it."""
    first = (letters & BYTE) * POWERS[7] + (letters >> EIGHTHS[1] & BYTE) * POWERS[6]
    second = (letters >> EIGHTHS[2] & BYTE) * POWERS[5] + (letters >> EIGHTHS[3] & BYTE) * POWERS[4]
    third = (letters >> EIGHTHS[4] & BYTE) * POWERS[3] + (letters >> EIGHTHS[5] & BYTE) * POWERS[2]
    last = (letters >> EIGHTHS[6] & BYTE) * POWERS[1] + (letters >> EIGHTHS[7])
    return (first + second) + (third + last)


@bare_inner
def hash_long_word(data: Bytes, at: Integer, end: Integer) -> tuple[Integer, np.uint64, np.uint64]:
    """The number of letters from `at` on, their hash and its power."""
    value, power, begin = np.uint64(0), np.uint64(1), at
    while at < end and np.uint8((data[at] | 32) - 97) < 26:
        value, power, at = value * FACTOR + np.uint64(data[at]), power * FACTOR, at + 1
    return at - begin, value, power
