"""Counts of lines and paragraphs as datatrove's filters take them: on the text as it is, without our trimming.

Gopher's repetition splits at runs of line feeds, its quality rules at every line break of Python's str.splitlines,
FineWeb's at single line feeds and leaves blank lines out. Two lines are equal if their bytes are. Linear in
the document; text is searched 64 bytes at a time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.kernels.byte_masks import BLOCK, byte_mask, find_byte, first_bits, lowest_bit, range_mask
from pipeline.kernels.c4_lines import strip
from pipeline.kernels.code_points import ORDER, Integer, decode, mix
from pipeline.kernels.compiler import bare_inlined, bare_inner
from pipeline.kernels.hash_table import Hashes, Ints
from pipeline.kernels.lines import count_code_points, ends_in_ellipsis, hash_bytes
from pipeline.kernels.units import CountArray
from pipeline.text.english_tokens import TERMINAL, Flags
from pipeline.text.unicode import Bytes

# indexes of the counts of `measure_raw_lines`
CHARACTERS = 0  # code points of the text
FEEDS = 1  # line feeds
FILLED = 2  # lines that are not blank
SHORT = 3  # of these, with at most 30 code points
ENDED = 4  # of these, that end in a terminal mark
REPEATED_FILLED_CHARACTERS = 5  # of second and later copies of these
PARTS = 6  # pieces between runs of line feeds
REPEATED_PARTS, REPEATED_PART_CHARACTERS = 7, 8
PARAGRAPHS, REPEATED_PARAGRAPHS, REPEATED_PARAGRAPH_CHARACTERS = 9, 10, 11
LONG = 12  # lines of at least 200 code points (mC4)
BREAKS = 13  # lines by str.splitlines
BULLETS, ELLIPSES = 14, 15  # of these, that begin with • or -, and that end in an ellipsis
WIDTH = 16
SHORT_LINE, LONG_LINE = 30, 200


class RawLines(NamedTuple):
    """Scratch space. `hash`, `length`, `blank`: of a line that is not empty; `start`, `stop`: its bytes; `feeds`: line
    feeds before it; `table`: positions by hash."""

    hash: Hashes
    length: Ints
    blank: Bytes
    start: Ints
    stop: Ints
    feeds: Ints
    table: Ints


def scratch(largest_bytes: int) -> RawLines:
    """Allocate scratch space for documents of up to `largest_bytes`."""
    most = largest_bytes + 2
    ints = [np.empty(most, np.int32) for _ in range(4)]
    table = np.empty(max(8, 1 << (2 * most - 1).bit_length()), np.int32)
    return RawLines(np.empty(most, np.uint64), ints[0], np.empty(most, np.uint8), ints[1], ints[2], ints[3], table)


@bare_inner
def measure_raw_lines(
    data: Bytes, start: Integer, end: Integer, flags: Flags, out: RawLines, counts: CountArray
) -> None:
    """Fill `counts` for the document in data[start:end]."""
    counts[:WIDTH] = 0
    n, at, feeds = 0, start, 0
    while at < end:
        stop = find_byte(data, at, end, 10)
        if stop > at:
            out.start[n], out.stop[n], out.feeds[n] = at - start, stop - start, feeds
            out.hash[n], out.length[n] = hash_bytes(data, at, stop), count_code_points(data, at, stop)
            first, last = strip(data, at, stop)
            out.blank[n] = first >= last
            counts[CHARACTERS] += out.length[n]
            counts[LONG] += out.length[n] >= LONG_LINE
            if first < last:
                counts[FILLED] += 1
                counts[SHORT] += out.length[n] <= SHORT_LINE
                counts[ENDED] += ends_in_mark(data, at, stop, flags)
            n, feeds = n + 1, 0
        feeds += stop < end
        counts[FEEDS] += stop < end
        at = stop + 1
    counts[CHARACTERS] += counts[FEEDS]
    # splitting at runs of line feeds gives an empty piece before one at the start and after one at the end
    leading, trailing = end > start and data[start] == 10, end > start and data[end - 1] == 10
    counts[PARTS], counts[REPEATED_PARTS] = n + leading + trailing, leading and trailing
    count_copies(out, n, counts)
    if n:
        count_paragraphs(data, start, end, out, n, counts)


@bare_inlined
def ends_in_mark(data: Bytes, at: Integer, stop: Integer, flags: Flags) -> Integer:
    """Whether the last character of the line, white space included, is a terminal mark."""
    last = stop - 1
    while last > at and data[last] & 0xC0 == 0x80:
        last -= 1
    return flags[decode(data, last)[0]] & TERMINAL > 0


@bare_inlined
def clear_table(out: RawLines, n: Integer) -> np.uint64:
    """Make the table ready for n pieces. Returns the mask of its slots."""
    slots = 8
    while slots < 2 * n:
        slots *= 2
    out.table[:slots] = -1
    return np.uint64(slots - 1)


@bare_inlined
def is_copy(out: RawLines, i: Integer, mask: np.uint64) -> bool:
    """Whether an earlier piece has the hash of piece i; the first of equal ones goes to the table."""
    slot = out.hash[i] & mask
    while out.table[slot] >= 0 and out.hash[out.table[slot]] != out.hash[i]:
        slot = (slot + np.uint64(1)) & mask
    if out.table[slot] < 0:
        out.table[slot] = i
        return False
    return True


@bare_inner
def count_copies(out: RawLines, n: Integer, counts: CountArray) -> None:
    """Count second and later copies of lines."""
    mask = clear_table(out, n)
    for i in range(n):
        if is_copy(out, i, mask):
            counts[REPEATED_PARTS] += 1
            counts[REPEATED_PART_CHARACTERS] += out.length[i]
            if not out.blank[i]:
                counts[REPEATED_FILLED_CHARACTERS] += out.length[i]


@bare_inner
def count_paragraphs(data: Bytes, start: Integer, end: Integer, out: RawLines, n: Integer, counts: CountArray) -> None:
    """Count paragraphs: pieces between two or more line feeds of the text without white space at its ends. Their hashes
    and lengths overwrite those of lines."""
    begin, finish = strip(data, start, end)
    if begin >= finish:
        counts[PARAGRAPHS] = 1
        return
    paragraphs = 0
    for i in range(n):
        at, stop = start + out.start[i], start + out.stop[i]
        if stop <= begin or at >= finish:
            continue
        value, length = out.hash[i], out.length[i]
        if at < begin or stop > finish:
            value = hash_bytes(data, max(at, begin), min(stop, finish))
            length = count_code_points(data, max(at, begin), min(stop, finish))
        if paragraphs == 0 or out.feeds[i] > 1:
            out.hash[paragraphs], out.length[paragraphs] = mix(value), length
            paragraphs += 1
        else:
            out.hash[paragraphs - 1] = mix(out.hash[paragraphs - 1] * ORDER + value)
            out.length[paragraphs - 1] += length + 1
    counts[PARAGRAPHS] = paragraphs
    mask = clear_table(out, paragraphs)
    for i in range(paragraphs):
        if is_copy(out, i, mask):
            counts[REPEATED_PARAGRAPHS] += 1
            counts[REPEATED_PARAGRAPH_CHARACTERS] += out.length[i]


@bare_inner
def next_break(data: Bytes, at: Integer, end: Integer) -> tuple[Integer, Integer]:
    """Where the line that begins at `at` ends, and where the next begins, as in str.splitlines."""
    while at < end:
        candidates = range_mask(data, at, 10, 4) | range_mask(data, at, 28, 3)
        candidates |= byte_mask(data, at, 0xC2) & byte_mask(data, at + 1, 0x85)
        candidates |= byte_mask(data, at, 0xE2) & byte_mask(data, at + 1, 0x80) & range_mask(data, at + 2, 0xA8, 2)
        candidates &= first_bits(end - at)
        if candidates:
            at += lowest_bit(candidates)
            byte = data[at]
            if byte >= 0x80:
                return at, at + (2 if byte == 0xC2 else 3)
            return at, at + 2 if byte == 13 and at + 1 < end and data[at + 1] == 10 else at + 1
        at += BLOCK
    return end, end


@bare_inner
def count_line_shape(data: Bytes, at: Integer, stop: Integer, counts: CountArray) -> None:
    """Count a line of str.splitlines, whether it begins with a bullet and whether it ends in an ellipsis."""
    first, last = strip(data, at, stop)
    counts[BREAKS] += 1
    if first < last:
        is_bullet = data[first] == 45 or (
            last - first >= 3 and data[first] == 0xE2 and data[first + 1] == 0x80 and data[first + 2] == 0xA2
        )
        counts[BULLETS] += is_bullet
        counts[ELLIPSES] += ends_in_ellipsis(data, first, last)
