"""N-grams of units that texts share with a set of evaluation items: keys of the items, and a scan over documents.

An n-gram has n units: words, or characters of scripts without spaces (`pipeline.text.words`), folded. A text of an item
with fewer than n units is one n-gram by itself, if it is long enough. The scan rolls a hash of the first few units over
the text and asks a bitmap; only where they begin an n-gram of an item does it hash further. 130 to 200 MB of text per
CPU-second (tests/benchmarks/bench_decontamination.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.kernels import units as unit_kernels
from pipeline.kernels.code_points import ORDER, PRIME, Integer, mix
from pipeline.kernels.compiler import inlined, kernel
from pipeline.kernels.hash_table import Hashes
from pipeline.kernels.units import OWN_UNITS, CountArray, Units
from pipeline.text.unicode import Bytes, Tables

OWN_SHARE = 0.5  # a text with more single characters than this is counted in characters


class Sizes(NamedTuple):
    """Numbers of units: of an n-gram, and the fewest of a shorter text that is looked for as a whole."""

    words: int
    characters: int
    min_words: int
    min_characters: int


class GramIndex(NamedTuple):
    """Keys of n-grams in ascending order; bitmaps of their first `prefix` units and of the keys; `present[n]`: whether
    some have n units."""

    keys: Hashes
    prefixes: Bytes
    key_bits: Bytes
    present: Bytes
    prefix: int


class Hits(NamedTuple):
    """N-grams of documents that items have: the document, the first unit, the number of units, the index of the key."""

    document: CountArray
    unit: CountArray
    size: CountArray
    key: CountArray


@inlined
def extend_gram(value: np.uint64, unit: np.uint64) -> np.uint64:
    """The value of an n-gram with one more unit."""
    return value * ORDER + unit


@inlined
def key_of(value: np.uint64, size: Integer) -> np.uint64:
    return mix(value + np.uint64(size) * PRIME)


@inlined
def bit_of(value: np.uint64, bitmap: Bytes) -> np.uint64:
    """The number of the bit of a value; the size of the bitmap is a power of two."""
    return mix(value) & np.uint64(8 * len(bitmap) - 1)


@inlined
def has_bit(value: np.uint64, bitmap: Bytes) -> Integer:
    """Whether the bit of a value is set."""
    bit = bit_of(value, bitmap)
    return bitmap[bit >> np.uint64(3)] >> np.uint8(bit & np.uint64(7)) & 1


@kernel
def gram_keys(
    data: Bytes,
    offsets: CountArray,
    tables: Tables,
    scratch: Units,
    sizes: Sizes,
    prefix: Integer,
    out: tuple[Hashes, Hashes, CountArray],
) -> Integer:
    """Write the key, the value of the first units and the text of every n-gram of a column of texts, and its size.

    `out`: keys, prefixes, and an array [n-grams, 2] of text and size. Returns the number of n-grams.
    """
    keys, prefixes, origin = out
    counts = np.zeros(unit_kernels.WIDTH, np.int64)
    number = 0
    for text in range(len(offsets) - 1):
        n = unit_kernels.split(data, offsets[text], offsets[text + 1], tables, scratch, counts)
        in_characters = counts[OWN_UNITS] > OWN_SHARE * n
        size = sizes.characters if in_characters else sizes.words
        if n < size:
            if n < (sizes.min_characters if in_characters else sizes.min_words):
                continue
            size = n
        for i in range(n - size + 1):
            value = np.uint64(0)
            for k in range(size):
                value = extend_gram(value, scratch.hash[i + k])
                if k == prefix - 1:
                    prefixes[number] = value
            keys[number], origin[number, 0], origin[number, 1] = key_of(value, size), text, size
            number += 1
    return number


@kernel
def set_bits(values: Hashes, bitmap: Bytes) -> None:
    """Set the bit of each value."""
    for value in values:
        bit = bit_of(value, bitmap)
        bitmap[bit >> np.uint64(3)] |= np.uint8(1 << (bit & np.uint64(7)))


@kernel
def scan(data: Bytes, offsets: CountArray, tables: Tables, scratch: Units, index: GramIndex, out: Hits) -> Integer:
    """Write every n-gram of the documents that the index has, the longest at each unit. Returns their number."""
    counts = np.zeros(unit_kernels.WIDTH, np.int64)
    most, number, prefix = len(index.present) - 1, 0, index.prefix
    power = np.uint64(1)  # of the unit that leaves the window
    for _ in range(prefix - 1):
        power *= ORDER
    for d in range(len(offsets) - 1):
        n = unit_kernels.split(data, offsets[d], offsets[d + 1], tables, scratch, counts)
        value = np.uint64(0)
        for end in range(n):
            i = end - prefix + 1
            if i > 0:
                value -= scratch.hash[i - 1] * power
            value = extend_gram(value, scratch.hash[end])
            if i < 0:
                continue
            if not has_bit(value, index.prefixes):
                continue
            size, position = longest(scratch, i, min(most, n - i), value, index)
            if size > 0:
                out.document[number], out.unit[number], out.size[number], out.key[number] = d, i, size, position
                number += 1
    return number


@inlined
def first_not_below(keys: Hashes, key: np.uint64) -> Integer:
    """The index of the first key that is not below `key`, by halving."""
    low, high = 0, len(keys)
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


@inlined
def longest(scratch: Units, i: Integer, most: Integer, value: np.uint64, index: GramIndex) -> tuple[Integer, Integer]:
    """The size of the longest n-gram of the index at unit i, 0 for none, and the position of its key."""
    size, position = 0, 0
    for k in range(index.prefix, most + 1):
        if k > index.prefix:
            value = extend_gram(value, scratch.hash[i + k - 1])
        if index.present[k]:
            key = key_of(value, k)
            if not has_bit(key, index.key_bits):
                continue
            at = first_not_below(index.keys, key)
            if at < len(index.keys) and index.keys[at] == key:
                size, position = k, at
    return size, position
