"""Splits a document into written units (defined in `pipeline.text.written_units`): bytes [begin, stop) and weight.

About 300 MB of text per CPU-second.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.kernels.code_points import Integer, decode
from pipeline.kernels.compiler import bare_inlined, bare_kernel
from pipeline.kernels.units import end_of_marks, max_units
from pipeline.kernels.units import joins as joins_letters
from pipeline.text.unicode import (
    CODE_POINTS,
    CONNECTOR,
    DIGIT,
    KIND,
    LETTER,
    MARK,
    MID_LETTER,
    NEWLINE,
    SPACE,
    UNIT,
    Bytes,
    tables,
)
from pipeline.text.written_units import ATTACHED, LONG_STEP, LONG_WORD, OPENERS, WORD

Longs = npt.NDArray[np.int64]

# flags of `borders`
OPENS = 1
ATTACHES = 2


class WrittenUnits(NamedTuple):
    """Scratch space for a document: unit i is data[begin[i]:stop[i]] and weighs weight[i]."""

    begin: Longs
    stop: Longs
    weight: Longs


class BorderTables(NamedTuple):
    """Arrays over code points: `classes` of `pipeline.text.unicode`, and OPENS and ATTACHES in `borders`."""

    classes: Bytes
    borders: Bytes


def scratch(largest_bytes: int) -> WrittenUnits:
    """Allocate scratch space for documents of up to `largest_bytes`."""
    most = max_units(largest_bytes)
    return WrittenUnits(*(np.empty(most, np.int64) for _ in range(3)))


@cache
def border_tables() -> BorderTables:
    """The tables of this release; read-only."""
    classes = tables().classes
    borders = np.zeros(CODE_POINTS, np.uint8)
    borders[[ord(character) for character in OPENERS]] = OPENS
    borders[(classes & KIND > 0) & (classes & MARK > 0)] = ATTACHES
    for first, last in ATTACHED:
        borders[first : last + 1] = ATTACHES
    borders.flags.writeable = False
    return BorderTables(classes, borders)


@bare_kernel
def split(data: Bytes, start: Integer, end: Integer, tables: BorderTables, out: WrittenUnits) -> Integer:
    """Fill `out` for the document in data[start:end]. Returns its number of written units.

    Of the gap after the last unit: `space`, `after_space`: where its first white space begins and ends; `opener`: the
    first of the openers that end it; −1 if there is none. `joins`: the unit was a word, and the gap has nothing but
    ASCII punctuation.
    """
    classes, borders = tables
    n = 0
    at, space, after_space, opener, joins = start, np.int64(-1), np.int64(-1), np.int64(-1), False
    while at < end:
        point, size = decode(data, at)
        kind: Integer = classes[point] & KIND
        stop, weight = at, 0
        if kind in (LETTER, DIGIT, CONNECTOR):
            stop, weight = spaced_word(data, at, end, classes)
        elif kind == UNIT:
            stop, weight = end_of_marks(data, at + size, end, classes), 1
        if weight > 0:
            begin, before = at, at
            if n == 0:
                begin = after_space if space == start else start
            elif space >= 0:
                before, begin = space, after_space
            elif opener >= 0:
                before = begin = opener
            if n > 0 and ((joins and kind != UNIT) or borders[decode(data, begin)[0]] & ATTACHES):
                out.weight[n - 1] += weight
            else:
                if n > 0:
                    out.stop[n - 1] = before
                out.begin[n], out.weight[n] = begin, weight
                n += 1
            at, space, after_space, opener, joins = stop, np.int64(-1), np.int64(-1), np.int64(-1), kind != UNIT
            continue
        stop = max(stop, at + size)
        if kind in (SPACE, NEWLINE):
            joins = False
            if space < 0:
                space, after_space = at, stop
            elif after_space == at:
                after_space = stop
        elif borders[point] & OPENS:
            opener, joins = at if opener < 0 else opener, joins and point < 0x80
        else:
            opener = np.int64(-1)
            for k in range(at, stop):
                joins &= data[k] < 0x80
        at = stop
    if n > 0:
        out.stop[n - 1] = space if space >= 0 else end
    return n


@bare_inlined
def spaced_word(data: Bytes, at: Integer, end: Integer, classes: Bytes) -> tuple[Integer, Integer]:
    """The end of the word that begins at byte `at`, and its weight; 0 if it has no letter and no digit."""
    begin, points, has_content = at, 0, False
    while at < end:
        run = at
        while at < end and np.uint8(data[at] - 97) < 26:  # fast path: ASCII lower-case letters
            at += 1
        points, has_content = points + at - run, has_content | (at > run)
        if at >= end or data[at] == 32:
            break
        point, size = decode(data, at)
        kind: Integer = classes[point] & KIND
        if kind == MID_LETTER and at > begin and joins_letters(data, at + size, end, point, classes):
            kind = np.uint8(CONNECTOR)
        if kind not in (LETTER, DIGIT, CONNECTOR):
            break
        has_content |= kind != CONNECTOR
        points, at = points + 1, at + size
    return at, WORD + max(0, points - LONG_WORD) // LONG_STEP if has_content else 0
