"""Control characters, line ends and white space of a document: a quick look whether it needs editing, and the edit.

`look` reads 0.6 GB (English) to 1.3 GB (Chinese) a CPU-second, and most documents need no more; `edit` writes 0.4 GB.
What is done, and why, stands in `pipeline.cleaners.unicode`.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.kernels.compiler import inlined, kernel
from pipeline.kernels.points import Whole, decode
from pipeline.text.unicode import CODE_POINTS, COMPOSES, KIND, SPACE, WINDOWS, Bytes, tables

Offsets = npt.NDArray[np.int64]
Points = npt.NDArray[np.int32]

# what `look` finds
EDIT = 1
COMPOSE = 2
WHITE = 4

# what `target` answers besides a code point
REMOVE = -1
BREAK = 10
BLANK = 32
MOST_BREAKS = 3  # two blank lines in a row at most
FULL_WIDTH_SPACE = 0x3000
ZERO_WIDTH_SPACE = 0x200B


@inlined
def target(point: Whole, classes: Bytes, windows: Points) -> Whole:
    """What stands for a code point: itself, BREAK, BLANK, another one, or REMOVE."""
    if point < 0x20:
        if point == 9 or point == 10:
            return point
        if 11 <= point <= 13 or 28 <= point <= 30:
            return BREAK
        return BLANK if point == 31 else REMOVE
    if point < 0x7F:
        return point
    if point < 0xA0:
        return windows[point - 0x80] if point >= 0x80 else REMOVE
    if point == 0xAD or point == 0x200B or point == 0x2060 or point == 0xFEFF:
        return REMOVE
    if point == 0x2028 or point == 0x2029:
        return BREAK
    if 0xFFF9 <= point <= 0xFFFB or 0xFDD0 <= point <= 0xFDEF or point & 0xFFFE == 0xFFFE:
        return REMOVE
    if classes[point] & KIND == SPACE and point != FULL_WIDTH_SPACE:
        return BLANK
    return point


@inlined
def parts_words(before: Whole, data: Bytes, at: Whole, end: Whole, classes: Bytes) -> Whole:
    """Whether a zero-width space stays: it follows a sign that stays and is no blank (`before`, 0 for none), and a
    script without spaces stands on one side. What follows is read as it is, so cleaning twice changes nothing."""
    if before in (0, BREAK, ZERO_WIDTH_SPACE) or classes[before] & KIND == SPACE:
        return False
    return is_unspaced(before) or (at < end and is_unspaced(decode(data, at)[0]))


@inlined
def is_unspaced(point: Whole) -> Whole:
    """Scripts without spaces, in which a zero-width space is how words are parted (Unicode 16, 6.2 and 23.2): Thai and
    Lao, Myanmar, Khmer, Tai Le to Tai Tham, Balinese, Javanese to Tai Viet. In Chinese it only lets a line break."""
    if point < 0x0E00 or point > 0xAADF:
        return False
    if point < 0x1800:
        return point <= 0x0EFF or 0x1000 <= point <= 0x109F or point >= 0x1780
    return 0x1950 <= point <= 0x1AAF or 0x1B00 <= point <= 0x1B7F or point >= 0xA980


class Plan(NamedTuple):
    """What `look` and `edit` need: `of[point]` and the code points of Windows-1252."""

    of: Bytes
    windows: Points


@cache
def plans() -> Plan:
    """Made once a process, in 10 ms."""
    windows, found = np.array(WINDOWS, np.int32), np.empty(CODE_POINTS, np.uint8)
    fill_plan(tables().classes, windows, found)
    return Plan(found, windows)


@kernel
def fill_plan(classes: Bytes, windows: Points, out: Bytes) -> None:
    """out[point] = EDIT where `target` says another than the point, COMPOSE where a text may have to, WHITE for white
    space: one look-up tells a sign that needs nothing."""
    for point in range(len(out)):
        out[point] = EDIT if target(point, classes, windows) != point else 0
        if classes[point] & COMPOSES:
            out[point] |= COMPOSE
        if classes[point] & KIND == SPACE:
            out[point] |= WHITE


@kernel
def look(data: Bytes, offsets: Offsets, plans: Bytes, out: Bytes) -> None:
    """out[d] = EDIT | COMPOSE as document d needs; EDIT may be said of a document that `edit` then leaves as it is.

    `blank`: the sign before is white space; `breaks`: line breaks in a row, as many as allowed at the start, so that
    any there asks for an edit.
    """
    for d in range(len(offsets) - 1):
        at, end = offsets[d], offsets[d + 1]
        found: Whole = 0
        blank: Whole = False
        breaks = MOST_BREAKS
        while at < end:
            first = data[at]
            if first == 10:
                breaks += 1
                if blank or breaks > MOST_BREAKS:
                    found |= EDIT
                at, blank = at + 1, False
            elif first == 0x20:
                at, blank = at + 1, True
            elif 0x20 < first < 0x7F:
                at, blank, breaks = at + 1, False, 0
            else:
                point, size = decode(data, at)
                found |= plans[point]
                blank = plans[point] & WHITE > 0
                breaks = breaks if blank else 0
                at += size
        if end > offsets[d] and (blank or data[end - 1] == 10):
            found |= EDIT
        out[d] = found


@kernel
def edit(data: Bytes, offsets: Offsets, needs: Bytes, classes: Bytes, plan: Plan, out: Bytes, ends: Offsets) -> None:
    """Write every document to `out`, one after the other, edited where `needs` says so; d stops at ends[d + 1]."""
    to = np.int64(0)
    ends[0] = 0
    for d in range(len(offsets) - 1):
        start, end = offsets[d], offsets[d + 1]
        if needs[d] & EDIT:
            to = edit_one(data, start, end, classes, plan, out, to)
        else:
            out[to : to + end - start] = data[start:end]
            to += end - start
        ends[d + 1] = to


@inlined
def edit_one(data: Bytes, at: Whole, end: Whole, classes: Bytes, plan: Plan, out: Bytes, to: Whole) -> Whole:
    """Write data[at:end] edited to out[to:]; returns where it stops.

    `kept`: behind the last sign that is not white space; `breaks`: line breaks written since; `before`: the last code
    point written, 0 for none.
    """
    begin = kept = to
    breaks = 0
    before: Whole = 0
    while at < end:
        first = data[at]
        if 0x20 < first < 0x7F:  # the fast road: signs that stay
            out[to] = first
            at, to, breaks, before = at + 1, to + 1, 0, first
            kept = to
            continue
        point, size = decode(data, at)
        if plan.of[point] & (EDIT | WHITE) == 0 and point != BREAK:
            for k in range(size):
                out[to + k] = data[at + k]
            at, to, breaks, before = at + size, to + size, 0, point
            kept = to
            continue
        at += size
        if point == 13 and at < end and data[at] == 10:
            continue
        became = target(point, classes, plan.windows)
        if point == ZERO_WIDTH_SPACE and parts_words(before, data, at, end, classes):
            became = point
        if became != REMOVE:
            before = became
        if became == BREAK:
            to = kept + breaks
            if kept > begin and breaks < MOST_BREAKS:
                out[to] = BREAK
                to, breaks = to + 1, breaks + 1
        elif became != REMOVE:
            to = encode(became, out, to)
            if plan.of[became] & WHITE == 0:
                kept, breaks = to, 0
    return kept


@inlined
def encode(point: Whole, out: Bytes, to: Whole) -> Whole:
    """Write a code point as UTF-8 at out[to]; returns where the next one goes."""
    if point < 0x80:
        out[to] = point
        return to + 1
    if point < 0x800:
        out[to], out[to + 1] = 0xC0 | point >> 6, 0x80 | point & 0x3F
        return to + 2
    if point < 0x10000:
        out[to], out[to + 1], out[to + 2] = 0xE0 | point >> 12, 0x80 | point >> 6 & 0x3F, 0x80 | point & 0x3F
        return to + 3
    out[to], out[to + 1] = 0xF0 | point >> 18, 0x80 | point >> 12 & 0x3F
    out[to + 2], out[to + 3] = 0x80 | point >> 6 & 0x3F, 0x80 | point & 0x3F
    return to + 4
