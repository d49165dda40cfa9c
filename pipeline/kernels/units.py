"""Splits a document into units (hash and length) and takes the counts for the quality signals, in one pass.

About 300 MB of text per CPU-second (tests/benchmarks/bench_kernels.py). The definition in plain Python is
`pipeline.text.words`; a test compares the two on every kind of text.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.kernels.code_points import PRIME, SEED, Integer, decode, extend, mix
from pipeline.kernels.compiler import inlined, inner_kernel, kernel
from pipeline.kernels.hash_table import Hashes, Ints
from pipeline.text.unicode import CONNECTOR, DIGIT, FOLDS, KIND, LETTER, MARK, MID_LETTER, UNIT, Bytes, Tables
from pipeline.text.words import MIDDLE_DOT

CountArray = npt.NDArray[np.int64]

# indexes of the counts of `split`
CHARACTERS = 0  # code points
UNITS = 1
UNIT_CHARACTERS = 2  # code points in units
OWN_UNITS = 3  # units of one character, of scripts without spaces
LETTER_UNITS = 4  # units that hold a letter
LETTERS = 5
UPPER = 6  # upper- and title-case letters
HASH_SIGNS = 7
ELLIPSES = 8  # "..." (not overlapping) and "…"
BROKEN = 9  # code points of UTF-8 that was read as Latin-1, and replacement characters
WIDTH = 10
DOT = ord(MIDDLE_DOT)


class Units(NamedTuple):
    """Scratch space for the units of a document. `end[i + 1]`: code points in units up to unit i; `end[0]` is 0."""

    hash: Hashes
    end: Ints


def scratch(largest_bytes: int) -> Units:
    """Allocate scratch space for documents of up to `largest_bytes`."""
    return Units(np.empty(max_units(largest_bytes), np.uint64), np.empty(max_units(largest_bytes) + 1, np.int32))


def max_units(size_bytes: int) -> int:
    """The largest number of units in a text, plus two: a word and its separator take two bytes, a Han character
    three."""
    return size_bytes // 2 + 2


@kernel
def split(data: Bytes, start: Integer, end: Integer, tables: Tables, out: Units, counts: CountArray) -> Integer:
    """Fill `out` and `counts` for the document in data[start:end]. Returns its number of units.

    `value`, `length`, `content`: hash, code points and content (2 for a letter, 1 for a digit) of the current word;
    `dots`: full stops in a row; `before`: the code point before.
    """
    classes, fold, more, _ = tables
    n = characters = unit_characters = own = letter_units = letters = hash_signs = ellipses = broken = 0
    value, content, dots, before = SEED, 0, 0, 0
    length: Integer = 0
    upper: Integer = 0
    at, out.end[0] = start, 0
    while at < end:
        point, size = decode(data, at)
        flags = classes[point]
        kind: Integer = flags & KIND
        at, characters = at + size, characters + 1
        if point >= 0x80:
            broken += count_broken(before, point)
        previous, before = before, point
        if kind == MID_LETTER and length > 0 and joins(data, at, end, point, classes):
            kind = np.uint8(CONNECTOR)
        if kind in (LETTER, DIGIT, CONNECTOR):
            if flags & MARK and classes[previous] & KIND == UNIT:
                stop, points, marks = attach_marks(data, at - size, end, previous, tables, out, n - 1)
                if marks > 0:
                    letters, characters = letters + marks, characters + points - 1
                    unit_characters, at, before, dots = unit_characters + points, stop, 0, 0
                    continue
            value = extend(value, fold, more, point) if flags & FOLDS else (value ^ np.uint64(point)) * PRIME
            length, dots = length + 1, 0
            if kind == LETTER:
                letters, upper, content = letters + 1, upper + (flags >> 3 & 1), content | 2
                begin = at
                while at < end and np.uint8(data[at] - 97) < 26:  # fast path: ASCII lower-case letters
                    value = (value ^ np.uint64(data[at])) * PRIME
                    at, before = at + 1, 0
                run = at - begin
                length, letters, characters = length + run, letters + run, characters + run
            elif kind == DIGIT:
                content |= 1
        else:
            if content:
                letter_units, unit_characters = letter_units + (content >> 1), unit_characters + length
                n = append_unit(out, n, value, unit_characters)
            value, length, content = SEED, 0, 0
            if kind == UNIT:
                value = extend(SEED, fold, more, point) if flags & FOLDS else (SEED ^ np.uint64(point)) * PRIME
                own, unit_characters = own + 1, unit_characters + 1
                n, value = append_unit(out, n, value, unit_characters), SEED
            dots = dots + 1 if point == 46 else 0
            ellipses += point == 0x2026 or (dots > 0 and dots % 3 == 0)
            hash_signs += point == 35
    if content:
        letter_units, unit_characters = letter_units + (content >> 1), unit_characters + length
        n = append_unit(out, n, value, unit_characters)
    counts[CHARACTERS], counts[UNITS], counts[UNIT_CHARACTERS], counts[OWN_UNITS] = characters, n, unit_characters, own
    counts[LETTER_UNITS], counts[LETTERS], counts[UPPER] = letter_units + own, letters + own, upper
    counts[HASH_SIGNS], counts[ELLIPSES], counts[BROKEN] = hash_signs, ellipses, broken
    return n


@inlined
def append_unit(out: Units, n: Integer, value: np.uint64, unit_characters: Integer) -> Integer:
    """Append unit n. Returns n + 1."""
    out.hash[n] = mix(value)
    out.end[n + 1] = unit_characters
    return n + 1


@inlined
def joins(data: Bytes, at: Integer, end: Integer, point: Integer, classes: Bytes) -> Integer:
    """Whether the mid-letter character `point`, which follows a word and ends at byte `at`, belongs to it."""
    if at >= end:
        return False
    if point == DOT:  # two bytes
        return data[at - 3] | 32 == 108 and data[at] | 32 == 108
    kind = classes[decode(data, at)[0]] & KIND
    return kind in (LETTER, DIGIT)


@inner_kernel
def attach_marks(
    data: Bytes, at: Integer, end: Integer, base: Integer, tables: Tables, out: Units, unit: Integer
) -> tuple[Integer, Integer, Integer]:
    """Add the marks from byte `at` on to a unit, the character `base`. Returns the byte where they end and the numbers
    of their code points and marks. It is not inlined, because that would slow `split` down for text without marks."""
    classes, fold, more, _ = tables
    value = extend(SEED, fold, more, base)
    stop = end_of_marks(data, at, end, classes)
    points = marks = 0
    while at < stop:
        point, size = decode(data, at)
        value = extend(value, fold, more, point)
        points, marks = points + 1, marks + (classes[point] & KIND == LETTER)
        at += size
    if marks > 0:
        append_unit(out, unit, value, out.end[unit + 1] + points)
    return stop, points, marks


@inlined
def end_of_marks(data: Bytes, at: Integer, end: Integer, classes: Bytes) -> Integer:
    """The end of the marks from byte `at` on, `at` itself if there are none: as in `text.words.end_of_marks`."""
    stop = at
    # no mark begins with a byte of ASCII or of U+4000 to U+9FFF
    while at < end and data[at] >= 0xC2 and not 0xE4 <= data[at] <= 0xE9:
        point, size = decode(data, at)
        flags = classes[point]
        if not flags & KIND or not flags & MARK:
            break
        at += size
        if flags & KIND == LETTER:
            stop = at
    return stop


@inlined
def count_broken(before: Integer, point: Integer) -> Integer:
    """Code points to count as broken: 2 for a pair that was one character of UTF-8 (Ã©, â€, è®), 1 for U+FFFD."""
    if before == 0xE2 and point == 0x20AC:
        return 2
    # « and » follow accented letters in French
    if 0xC2 <= before <= 0xF4 and 0xA1 <= point <= 0xBF and point != 0xAB and point != 0xBB:
        return 2
    return 1 if point == 0xFFFD else 0
