"""Counts lines and paragraphs in one pass over a document's bytes: their number, bullets, ellipses and duplicates.

A line is text between line feeds that is not blank, without white space at its ends. A paragraph is a run of lines
without a blank line between them. A duplicate is a second or later occurrence: a b a has one (Rae et al. 2021, table
A1). About 600 MB of text per CPU-second.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.kernels.byte_masks import BLOCK, count_bits, find_byte, first_bits, range_mask
from pipeline.kernels.code_points import ORDER, SEED, Integer, decode, mix
from pipeline.kernels.compiler import bare_inlined, inlined, inner_kernel
from pipeline.kernels.hash_table import Hashes, Ints, Slots, mark_repeats
from pipeline.kernels.units import CountArray
from pipeline.text.unicode import BULLET, KIND, NEWLINE, SPACE, Bytes

# indexes of the counts of `measure_lines`
LINES = 0  # that are not blank
BULLET_LINES = 1  # the first character is a bullet, at the start of the line or before white space
ELLIPSIS_LINES = 2  # end in "..." or "…"
LINE_CHARACTERS = 3  # code points of these lines without white space at their ends
DUPLICATE_LINES = 4
DUPLICATE_LINE_CHARACTERS = 5
PARAGRAPHS = 6
DUPLICATE_PARAGRAPHS = 7
DUPLICATE_PARAGRAPH_CHARACTERS = 8
WIDTH = 9


class Lines(NamedTuple):
    """Scratch space for the lines of a document: hash, code points, and whether the line opens a paragraph."""

    hash: Hashes
    length: Ints
    opens: Bytes


def scratch(largest_bytes: int) -> Lines:
    """Allocate scratch space for documents of up to `largest_bytes`; a line and its break take at least two bytes."""
    most = largest_bytes // 2 + 2
    return Lines(np.empty(most, np.uint64), np.empty(most, np.int32), np.empty(most, np.uint8))


@inner_kernel
def measure_lines(
    data: Bytes, start: Integer, end: Integer, classes: Bytes, out: Lines, slots: Slots, counts: CountArray
) -> None:
    """Fill `counts` for the document in data[start:end]."""
    counts[:WIDTH] = 0
    n, opens, at = 0, True, start
    while at < end:
        stop = find_byte(data, at, end, 10)
        line_start, line_end = trim_line(data, at, stop, classes)
        if line_start == line_end:
            opens = True
        else:
            out.hash[n] = hash_bytes(data, line_start, line_end)
            out.length[n] = count_code_points(data, line_start, line_end)
            out.opens[n] = opens
            counts[BULLET_LINES] += begins_with_bullet(data, at, line_start, stop, classes)
            counts[ELLIPSIS_LINES] += ends_in_ellipsis(data, line_start, line_end)
            n, opens = n + 1, False
        at = stop + 1
    counts[LINES] = n
    count_duplicates(out, n, slots, counts)


@inlined
def count_duplicates(lines: Lines, n: Integer, slots: Slots, counts: CountArray) -> None:
    """Count duplicate lines, then paragraphs. The hashes of paragraphs overwrite those of lines."""
    mark_repeats(lines.hash, n, slots)
    for i in range(n):
        counts[LINE_CHARACTERS] += lines.length[i]
        counts[DUPLICATE_LINES] += slots.repeated[i]
        counts[DUPLICATE_LINE_CHARACTERS] += slots.repeated[i] * lines.length[i]
    paragraphs = 0
    for i in range(n):
        if lines.opens[i]:
            lines.hash[paragraphs], lines.length[paragraphs] = mix(lines.hash[i]), lines.length[i]
            paragraphs += 1
        else:
            paragraph_hash = lines.hash[paragraphs - 1]
            lines.hash[paragraphs - 1] = mix(paragraph_hash * ORDER + lines.hash[i])
            lines.length[paragraphs - 1] += lines.length[i]
    counts[PARAGRAPHS] = paragraphs
    mark_repeats(lines.hash, paragraphs, slots)
    for i in range(paragraphs):
        counts[DUPLICATE_PARAGRAPHS] += slots.repeated[i]
        counts[DUPLICATE_PARAGRAPH_CHARACTERS] += slots.repeated[i] * lines.length[i]


@inlined
def trim_line(data: Bytes, start: Integer, stop: Integer, classes: Bytes) -> tuple[Integer, Integer]:
    """The line in data[start:stop] without white space at its ends."""
    while start < stop:
        point, size = decode(data, start)
        if classes[point] & KIND != SPACE:
            break
        start += size
    while start < stop:
        last_byte = stop - 1
        while data[last_byte] & 0xC0 == 0x80:
            last_byte -= 1
        if classes[decode(data, last_byte)[0]] & KIND != SPACE:
            break
        stop = last_byte
    return start, stop


@inlined
def hash_bytes(data: Bytes, start: Integer, stop: Integer) -> np.uint64:
    """Hash eight bytes at a time; the compiler combines the eight loads."""
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


@bare_inlined
def count_code_points(data: Bytes, start: Integer, stop: Integer) -> Integer:
    """The number of bytes that begin a code point: all but those from 80 to BF."""
    count: Integer = stop - start
    for at in range(start, stop, BLOCK):
        count -= count_bits(range_mask(data, at, 0x80, 0x40) & first_bits(stop - at))
    return count


@inlined
def begins_with_bullet(data: Bytes, at: Integer, line_start: Integer, stop: Integer, classes: Bytes) -> Integer:
    """Whether the line in data[at:stop], whose first character is at `line_start`, is a list item."""
    point, size = decode(data, line_start)
    if classes[point] & (BULLET | KIND) != BULLET:
        return False
    if line_start == at or line_start + size >= stop:
        return True
    kind = classes[decode(data, line_start + size)[0]] & KIND
    return kind in (SPACE, NEWLINE)


@inlined
def ends_in_ellipsis(data: Bytes, line_start: Integer, line_end: Integer) -> Integer:
    """Whether data[line_start:line_end] ends in "..." or in "…" (E2 80 A6)."""
    if line_end - line_start < 3:
        return False
    a, b, c = data[line_end - 3], data[line_end - 2], data[line_end - 1]
    return (a == 46 and b == 46 and c == 46) or (a == 0xE2 and b == 0x80 and c == 0xA6)
