"""Removes lines from documents by the rules of C4 or RefinedWeb. About 250 MB of text per CPU-second."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.kernels import column
from pipeline.kernels.byte_masks import PADDING, padded
from pipeline.kernels.c4_lines import DROP, LineRules, judge_line, strip
from pipeline.kernels.code_points import Integer
from pipeline.kernels.compiler import bare_inner, bare_kernel
from pipeline.kernels.raw_lines import next_break
from pipeline.kernels.refinedweb_lines import judge_menu_line
from pipeline.kernels.units import CountArray
from pipeline.text import unicode
from pipeline.text.unicode import Bytes


def edit_c4_lines(text: pa.Array, rules: LineRules) -> pa.Array:
    """The column without the lines that C4's rules drop; a document that would lose all its lines stays as it is."""
    data, offsets = column.buffers(text)
    out, ends = _output(offsets)
    line = np.empty(int(np.diff(offsets).max(initial=0)) + PADDING, np.uint8)
    write_c4(padded(data, int(offsets[-1])), offsets, unicode.tables().classes, rules, line, out, ends)
    return _column(text, out, ends)


def edit_menu_lines(text: pa.Array, most_percent: float) -> pa.Array:
    """The column without the lines that RefinedWeb's rules flag; a document of whose words these lines hold more than
    `most_percent` stays as it is."""
    data, offsets = column.buffers(text)
    out, ends = _output(offsets)
    write_unflagged(padded(data, int(offsets[-1])), offsets, unicode.tables().classes, most_percent, out, ends)
    return _column(text, out, ends)


def _output(offsets: CountArray) -> tuple[Bytes, CountArray]:
    return np.empty(int(offsets[-1] - offsets[0]) + len(offsets), np.uint8), np.zeros(len(offsets), np.int64)


def _column(text: pa.Array, out: Bytes, ends: CountArray) -> pa.Array:
    return pa.LargeStringArray.from_buffers(len(text), pa.py_buffer(ends), pa.py_buffer(out[: ends[-1]].copy()))


@bare_kernel
def write_c4(
    data: Bytes, offsets: CountArray, classes: Bytes, rules: LineRules, line: Bytes, out: Bytes, ends: CountArray
) -> None:
    """Write every document to `out`; document d ends at ends[d + 1]. `kept`: whether a line was written."""
    for d in range(len(offsets) - 1):
        at, end, write_at, kept = offsets[d], offsets[d + 1], ends[d], False
        while at < end:
            stop, following = next_break(data, at, end)
            verdict, first, last, length = judge_line(data, at, stop, classes, rules, line)
            if verdict != DROP:
                if kept:
                    out[write_at] = 10
                    write_at += 1
                if length >= 0:
                    first, last = strip(line, 0, length)
                    write_at = copy(line, first, last, out, write_at)
                else:
                    write_at = copy(data, first, last, out, write_at)
                kept = kept or last > first
            at = following
        ends[d + 1] = write_at if kept else copy(data, offsets[d], end, out, ends[d])


@bare_kernel
def write_unflagged(
    data: Bytes, offsets: CountArray, classes: Bytes, most_percent: float, out: Bytes, ends: CountArray
) -> None:
    """Write every document to `out` without flagged lines, whole if they hold too many of its words."""
    for d in range(len(offsets) - 1):
        at, end, write_at, flagged_words, words, wrote = offsets[d], offsets[d + 1], ends[d], 0, 0, False
        while at < end:
            stop, following = next_break(data, at, end)
            flagged, line_words = judge_menu_line(data, at, stop, classes)
            words += line_words
            flagged_words += line_words if flagged else 0
            if not flagged:
                write_at = copy(data, at, following, out, write_at)
                wrote = wrote or line_words > 0
            at = following
        if flagged_words == 0 or not wrote or 100 * flagged_words > most_percent * words:
            write_at = copy(data, offsets[d], end, out, ends[d])
        else:
            _, write_at = strip(out, ends[d], write_at)
        ends[d + 1] = write_at


@bare_inner
def copy(data: Bytes, start: Integer, end: Integer, out: Bytes, write_at: Integer) -> Integer:
    """Copy data[start:end] to out[write_at:]. Returns the position after it."""
    for at in range(start, end):
        out[write_at + at - start] = data[at]
    return write_at + end - start
