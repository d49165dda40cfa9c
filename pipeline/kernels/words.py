"""Splits a document into words (position and hash) and finds the ends of sentences, in one pass.

The definition in plain Python is `pipeline.text.words`; a test compares the two on every kind of text. About 117 MB of
English and 22 MB of Chinese per CPU-second; most of the time for Chinese is spent in `segment`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.kernels.code_points import PRIME, SEED, Integer, decode, extend, mix
from pipeline.kernels.compiler import inlined, kernel
from pipeline.kernels.hash_table import Hashes
from pipeline.kernels.segment import Dictionary, HanRun, segment
from pipeline.kernels.units import end_of_marks, joins
from pipeline.text.scripts import NUMBER
from pipeline.text.unicode import (
    CONNECTOR,
    DIGIT,
    FOLDS,
    KIND,
    LETTER,
    MID_LETTER,
    NEWLINE,
    SENTENCE_END,
    SPACE,
    UNIT,
    Bytes,
    CodePoints,
    Tables,
)

Longs = npt.NDArray[np.int64]
HAN = NUMBER["Hani"]


class WordSpans(NamedTuple):
    """Scratch space for the words of a document: word i is data[begin[i]:stop[i]], and hash[i] hashes its folded code
    points. Where begin equals stop, a sentence with words ends."""

    begin: Longs
    stop: Longs
    hash: Hashes


def scratch(largest_bytes: int) -> WordSpans:
    """Allocate scratch space for documents of up to `largest_bytes`: a word takes a byte, the sentence end another."""
    most = largest_bytes + 2
    return WordSpans(np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.uint64))


@kernel
def split(
    data: Bytes, start: Integer, end: Integer, tables: Tables, dictionary: Dictionary, run: HanRun, out: WordSpans
) -> Integer:
    """Fill `out` for the document in data[start:end]. Returns the number of its words and sentence ends.

    `sentence_start`: index of the first word of the current sentence.
    """
    classes, fold, more, _ = tables
    n = sentence_start = 0
    at = start
    while at < end:
        point, size = decode(data, at)
        kind = classes[point] & KIND
        if kind in (LETTER, DIGIT, CONNECTOR):
            stop, value, has_content = spaced_word(data, at, end, classes, fold, more)
            if has_content:
                n = append_word(out, n, at, stop, value)
            at = stop
        elif kind == UNIT:
            length, stop = read_han_run(data, at, end, tables, run)
            if length > 0:
                segment(run, length, dictionary)
                n = append_run(out, n, run, length, stop)
            else:
                stop = end_of_marks(data, at + size, end, classes)
                n = append_word(out, n, at, stop, hash_of(data, at, stop, fold, more))
            at = stop
        else:
            at += size
            if n > sentence_start and ends_sentence(data, at, end, point, classes):
                n = sentence_start = append_word(out, n, at, at, SEED)
    if n > sentence_start:
        n = append_word(out, n, end, end, SEED)
    return n


@inlined
def append_word(out: WordSpans, n: Integer, begin: Integer, stop: Integer, value: np.uint64) -> Integer:
    """Append word n. Returns n + 1."""
    out.begin[n], out.stop[n], out.hash[n] = begin, stop, mix(value)
    return n + 1


@inlined
def spaced_word(
    data: Bytes, at: Integer, end: Integer, classes: Bytes, fold: CodePoints, more: CodePoints
) -> tuple[Integer, np.uint64, bool]:
    """The end of the word that begins at byte `at`, its hash, and whether it has a letter or a digit."""
    value, has_content = SEED, False
    begin = at
    while at < end:
        point, size = decode(data, at)
        flags = classes[point]
        kind: Integer = flags & KIND
        if kind == MID_LETTER and at > begin and joins(data, at + size, end, point, classes):
            kind = np.uint8(CONNECTOR)
        if kind not in (LETTER, DIGIT, CONNECTOR):
            break
        has_content |= kind != CONNECTOR
        value = extend(value, fold, more, point) if flags & FOLDS else (value ^ np.uint64(point)) * PRIME
        at += size
        while at < end and np.uint8(data[at] - 97) < 26:  # fast path: ASCII lower-case letters
            value, has_content = (value ^ np.uint64(data[at])) * PRIME, True
            at += 1
    return at, value, has_content


@inlined
def hash_of(data: Bytes, at: Integer, stop: Integer, fold: CodePoints, more: CodePoints) -> np.uint64:
    """The hash of the folded code points of data[at:stop]."""
    value = SEED
    while at < stop:
        point, size = decode(data, at)
        value = extend(value, fold, more, point)
        at += size
    return value


@inlined
def read_han_run(data: Bytes, at: Integer, end: Integer, tables: Tables, run: HanRun) -> tuple[Integer, Integer]:
    """Read the run of Han characters without marks from byte `at` on into `run`, folded. Returns its length and its
    end."""
    classes, fold, _, scripts = tables
    n = 0
    while at < end:
        point, size = decode(data, at)
        if classes[point] & KIND != UNIT or scripts[point] != HAN:
            break
        run.points[n], run.at[n] = fold[point], at
        n += 1
        at += size
    if n > 0 and end_of_marks(data, at, end, classes) > at:
        n -= 1
        at = run.at[n]
    return n, at


@inlined
def append_run(out: WordSpans, n: Integer, run: HanRun, length: Integer, stop: Integer) -> Integer:
    """Append the words of a run that ends at byte `stop`. Returns the index of the next word."""
    value, begin = SEED, 0
    for i in range(length):
        value = (value ^ np.uint64(run.points[i])) * PRIME
        if run.ends[i]:
            after = run.at[i + 1] if i + 1 < length else stop
            n = append_word(out, n, run.at[begin], after, value)
            value, begin = SEED, i + 1
    return n


@inlined
def ends_sentence(data: Bytes, at: Integer, end: Integer, point: Integer, classes: Bytes) -> Integer:
    """Whether a sentence ends with `point`, which ends at byte `at`: as in `text.words.sentences`."""
    if point == 10:
        return True
    if not classes[point] & SENTENCE_END:
        return False
    if point >= 0x80 or at >= end:
        return True
    kind = classes[decode(data, at)[0]] & KIND
    return kind in (SPACE, NEWLINE)


@kernel
def split_all(
    data: Bytes,
    offsets: Longs,
    tables: Tables,
    dictionary: Dictionary,
    run: HanRun,
    scratch: WordSpans,
    begin: Longs,
    stop: Longs,
    ends: Longs,
) -> None:
    """Write the words of all documents without sentence ends, as positions in their document.

    Document d has the words i in range(ends[d], ends[d + 1])."""
    count = ends[0] = 0
    for d in range(len(offsets) - 1):
        n = split(data, offsets[d], offsets[d + 1], tables, dictionary, run, scratch)
        for i in range(n):
            if scratch.stop[i] > scratch.begin[i]:
                begin[count], stop[count] = scratch.begin[i] - offsets[d], scratch.stop[i] - offsets[d]
                count += 1
        ends[d + 1] = count
