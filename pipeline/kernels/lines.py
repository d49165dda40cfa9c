"""One pass over a document's bytes for its lines and paragraphs: how many, how they begin and end, which repeat.

A line is a run without "\\n" that is not blank; white space at its ends is left out. A paragraph is a run of lines with
no blank line between. A duplicate is the second or a later occurrence: a b a holds one (Rae et al. 2021, table A1).
About 600 MB of text a CPU-second.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.kernels.compiler import inlined, kernel
from pipeline.kernels.points import ORDER, SEED, Whole, decode, mix
from pipeline.kernels.tables import Hashes, Ints, Slots, first_seen
from pipeline.kernels.units import Counts
from pipeline.text.unicode import BULLET, KIND, NEWLINE, SPACE, Bytes

# what `measure_lines` counts, by index
LINES = 0  # that are not blank
BULLET_LINES = 1  # the first sign is a bullet, and stands at the line's start or before white space
ELLIPSIS_LINES = 2  # end in "..." or "…"
LINE_CHARACTERS = 3  # code points of these lines, white space at their ends left out
DUPLICATE_LINES = 4
DUPLICATE_LINE_CHARACTERS = 5
PARAGRAPHS = 6
DUPLICATE_PARAGRAPHS = 7
DUPLICATE_PARAGRAPH_CHARACTERS = 8
WIDTH = 9


class Lines(NamedTuple):
    """Room for the lines of one document: hash, code points, and whether a blank line (or nothing) stands before."""

    hash: Hashes
    length: Ints
    opens: Bytes


def room(largest_bytes: int) -> Lines:
    """Scratch for documents up to `largest_bytes`: a line and its break take two bytes at least."""
    most = largest_bytes // 2 + 2
    return Lines(np.empty(most, np.uint64), np.empty(most, np.int32), np.empty(most, np.uint8))


@kernel
def measure_lines(
    data: Bytes, start: Whole, end: Whole, classes: Bytes, out: Lines, slots: Slots, counts: Counts
) -> None:
    """Fill `counts` for the document in data[start:end]."""
    counts[:WIDTH] = 0
    n, opens, at = 0, True, start
    while at < end:
        stop = at
        while stop < end and data[stop] != 10:
            stop += 1
        first, last = trim(data, at, stop, classes)
        if first == last:
            opens = True
        else:
            out.hash[n], out.length[n] = hash_bytes(data, first, last), code_points(data, first, last)
            out.opens[n] = opens
            counts[BULLET_LINES] += begins_with_bullet(data, at, first, stop, classes)
            counts[ELLIPSIS_LINES] += ends_in_ellipsis(data, first, last)
            n, opens = n + 1, False
        at = stop + 1
    counts[LINES] = n
    count_duplicates(out, n, slots, counts)


@inlined
def count_duplicates(lines: Lines, n: Whole, slots: Slots, counts: Counts) -> None:
    """Duplicate lines, then paragraphs; the hashes of lines are overwritten by those of paragraphs."""
    first_seen(lines.hash, n, slots)
    for i in range(n):
        counts[LINE_CHARACTERS] += lines.length[i]
        counts[DUPLICATE_LINES] += slots.again[i]
        counts[DUPLICATE_LINE_CHARACTERS] += slots.again[i] * lines.length[i]
    paragraphs = 0
    for i in range(n):
        if lines.opens[i]:
            lines.hash[paragraphs], lines.length[paragraphs] = mix(lines.hash[i]), lines.length[i]
            paragraphs += 1
        else:
            held = lines.hash[paragraphs - 1]
            lines.hash[paragraphs - 1] = mix(held * ORDER + lines.hash[i])
            lines.length[paragraphs - 1] += lines.length[i]
    counts[PARAGRAPHS] = paragraphs
    first_seen(lines.hash, paragraphs, slots)
    for i in range(paragraphs):
        counts[DUPLICATE_PARAGRAPHS] += slots.again[i]
        counts[DUPLICATE_PARAGRAPH_CHARACTERS] += slots.again[i] * lines.length[i]


@inlined
def trim(data: Bytes, start: Whole, stop: Whole, classes: Bytes) -> tuple[Whole, Whole]:
    """The line in data[start:stop] without white space at its ends."""
    while start < stop:
        point, size = decode(data, start)
        if classes[point] & KIND != SPACE:
            break
        start += size
    while start < stop:
        last = stop - 1
        while data[last] & 0xC0 == 0x80:
            last -= 1
        if classes[decode(data, last)[0]] & KIND != SPACE:
            break
        stop = last
    return start, stop


@inlined
def hash_bytes(data: Bytes, start: Whole, stop: Whole) -> np.uint64:
    """Eight bytes a step; the eight loads become one."""
    value, at = SEED ^ np.uint64(stop - start), start
    while at + 8 <= stop:
        word = np.uint64(0)
        for k in range(8):
            word |= np.uint64(data[at + k]) << np.uint64(8 * k)
        value = mix(value ^ word) * ORDER
        at += 8
    word = np.uint64(0)
    while at < stop:
        word = word << np.uint64(8) | np.uint64(data[at])
        at += 1
    return mix(value ^ word)


@inlined
def code_points(data: Bytes, start: Whole, stop: Whole) -> Whole:
    """Bytes that begin a code point; runs on vector lanes."""
    found = 0
    for at in range(start, stop):
        found += data[at] & 0xC0 != 0x80
    return found


@inlined
def begins_with_bullet(data: Bytes, at: Whole, first: Whole, stop: Whole, classes: Bytes) -> Whole:
    """Whether the line in data[at:stop], whose first sign stands at `first`, is an item of a list."""
    point, size = decode(data, first)
    if classes[point] & (BULLET | KIND) != BULLET:
        return False
    if first == at or first + size >= stop:
        return True
    kind = classes[decode(data, first + size)[0]] & KIND
    return kind in (SPACE, NEWLINE)


@inlined
def ends_in_ellipsis(data: Bytes, first: Whole, last: Whole) -> Whole:
    """Whether data[first:last] ends in "..." or in "…" (E2 80 A6)."""
    if last - first < 3:
        return False
    a, b, c = data[last - 3], data[last - 2], data[last - 1]
    return (a == 46 and b == 46 and c == 46) or (a == 0xE2 and b == 0x80 and c == 0xA6)
