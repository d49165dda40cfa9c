"""Cuts passages out of documents and joins what is left; quotes passages; counts code points.

Where a passage was, the white space around it is joined: as many line feeds as the largest gap there had, then the
indentation of what follows. At the beginning and the end of a document nothing is left. About 1 GB of text per
CPU-second.
"""

from __future__ import annotations

from pipeline.kernels.code_points import Integer, decode
from pipeline.kernels.compiler import inlined, kernel
from pipeline.kernels.passages import Ints, Positions
from pipeline.kernels.units import CountArray
from pipeline.text.unicode import KIND, NEWLINE, SPACE, Bytes


@kernel
def cut_passages(
    data: Bytes, offsets: CountArray, classes: Bytes, document: Ints, start: Positions, end: Positions, out: Bytes,
    ends: CountArray,
) -> None:  # fmt: skip
    """Write every document without its passages; ends[d + 1] is where document d ends in `out`.

    Passages are in order and do not overlap. `out` has room for all of `data`.
    """
    write_at, passage = 0, 0
    ends[0] = 0
    for d in range(len(offsets) - 1):
        base, stop, at = offsets[d], offsets[d + 1], offsets[d]
        while passage < len(document) and document[passage] == d:
            # a hole: passages with nothing but white space between them, and the white space around them
            hole_start = back_over_space(data, at, base + start[passage], classes)
            before, inside = base + start[passage], 0
            hole_end = over_space(data, base + end[passage], stop, classes)
            after = base + end[passage]
            passage += 1
            while passage < len(document) and document[passage] == d and base + start[passage] <= hole_end:
                inside = max(inside, line_feeds(data, after, base + start[passage]))
                after = max(after, base + end[passage])
                hole_end = over_space(data, after, stop, classes)
                passage += 1
            write_at = copy(data, at, hole_start, out, write_at)
            if hole_start > base and hole_end < stop:
                write_at = join(data, hole_start, before, after, hole_end, inside, out, write_at)
            elif hole_end < stop:
                write_at = copy(data, indentation(data, after, hole_end), hole_end, out, write_at)
            at = hole_end
        write_at = copy(data, at, stop, out, write_at)
        ends[d + 1] = write_at


@inlined
def join(
    data: Bytes, hole_start: Integer, before: Integer, after: Integer, hole_end: Integer, inside: Integer, out: Bytes,
    write_at: Integer,
) -> Integer:  # fmt: skip
    """Write what takes the place of a hole, of white space data[hole_start:before] and data[after:hole_end]."""
    feeds_before, feeds_after = line_feeds(data, hole_start, before), line_feeds(data, after, hole_end)
    feeds = max(inside, feeds_before, feeds_after)
    if feeds == 0:
        if after < hole_end:
            return copy(data, after, hole_end, out, write_at)
        return copy(data, hole_start, before, out, write_at)
    for _ in range(feeds):
        out[write_at] = 10
        write_at += 1
    if feeds_after:
        return copy(data, indentation(data, after, hole_end), hole_end, out, write_at)
    if feeds_before:
        return copy(data, indentation(data, hole_start, before), before, out, write_at)
    return write_at


@inlined
def over_space(data: Bytes, at: Integer, stop: Integer, classes: Bytes) -> Integer:
    """The end of the white space that begins at byte `at`."""
    while at < stop:
        point, size = decode(data, at)
        kind = classes[point] & KIND
        if kind != SPACE and kind != NEWLINE:
            break
        at += size
    return at


@inlined
def back_over_space(data: Bytes, least: Integer, at: Integer, classes: Bytes) -> Integer:
    """The beginning of the white space that ends at byte `at`, not before `least`."""
    while at > least:
        last = at - 1
        while last > least and data[last] & 0xC0 == 0x80:
            last -= 1
        kind = classes[decode(data, last)[0]] & KIND
        if kind != SPACE and kind != NEWLINE:
            break
        at = last
    return at


@inlined
def line_feeds(data: Bytes, start: Integer, stop: Integer) -> Integer:
    """The number of line feeds in data[start:stop]."""
    count = 0
    for at in range(start, stop):
        count += data[at] == 10
    return count


@inlined
def indentation(data: Bytes, start: Integer, stop: Integer) -> Integer:
    """The byte after the last line feed in data[start:stop], `start` if there is none."""
    at = stop
    while at > start and data[at - 1] != 10:
        at -= 1
    return at


@inlined
def copy(data: Bytes, start: Integer, stop: Integer, out: Bytes, write_at: Integer) -> Integer:
    """Copy data[start:stop] to out[write_at:]. Returns the position after it."""
    for at in range(start, stop):
        out[write_at + at - start] = data[at]
    return write_at + max(0, stop - start)


@kernel
def to_code_points(data: Bytes, offsets: CountArray, document: Ints, position: Positions, out: CountArray) -> None:
    """Set out[i] to the number of code points before byte position[i] of document[i]; sorted by both: one pass."""
    before, at, points = -1, 0, 0
    for i in range(len(document)):
        d = document[i]
        target = offsets[d] + position[i]
        if d != before or target < at:
            before, at, points = d, offsets[d], 0
        while at < target:
            points += data[at] & 0xC0 != 0x80
            at += 1
        out[i] = points


@kernel
def quote(
    data: Bytes, offsets: CountArray, document: Ints, start: Positions, end: Positions, most: Integer, out: Bytes,
    ends: CountArray,
) -> None:  # fmt: skip
    """Write the first `most` code points of each passage; ends[i + 1] is where that of passage i ends in `out`."""
    write_at = 0
    ends[0] = 0
    for i in range(len(document)):
        at, stop, points = offsets[document[i]] + start[i], offsets[document[i]] + end[i], 0
        while at < stop and (points < most or data[at] & 0xC0 == 0x80):
            points += data[at] & 0xC0 != 0x80
            out[write_at] = data[at]
            at, write_at = at + 1, write_at + 1
        ends[i + 1] = write_at
