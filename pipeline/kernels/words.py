"""One pass over a document's bytes: where its words are, the hash of each, and where its sentences end.

`pipeline.text.words` is the definition, in plain Python; a test compares the two on every kind of text. About 117 MB of
English and 22 of Chinese a CPU-second; Chinese waits for `segment`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.kernels.compiler import inlined, kernel
from pipeline.kernels.points import PRIME, SEED, Whole, decode, extend, mix
from pipeline.kernels.segment import Dictionary, HanRun, segment
from pipeline.kernels.tables import Hashes
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
    Points,
    Tables,
)

Longs = npt.NDArray[np.int64]
HAN = NUMBER["Hani"]


class WordSpans(NamedTuple):
    """Room for the words of one document: word i is data[begin[i]:stop[i]], and `hash` that of its folded code points.
    Where begin equals stop, a sentence that has words ends there."""

    begin: Longs
    stop: Longs
    hash: Hashes


def room(largest_bytes: int) -> WordSpans:
    """Scratch for documents up to `largest_bytes`: a word takes a byte, its sentence's end another."""
    most = largest_bytes + 2
    return WordSpans(np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.uint64))


@kernel
def split(
    data: Bytes, start: Whole, end: Whole, tables: Tables, dictionary: Dictionary, run: HanRun, out: WordSpans
) -> Whole:
    """Fill `out` for the document in data[start:end]; returns how many words and sentence ends it has.

    `first`: number of the first word of the sentence that is being read.
    """
    classes, fold, more, _ = tables
    n = first = 0
    at = start
    while at < end:
        point, size = decode(data, at)
        kind = classes[point] & KIND
        if kind in (LETTER, DIGIT, CONNECTOR):
            stop, value, holds = spaced_word(data, at, end, classes, fold, more)
            if holds:
                n = put(out, n, at, stop, value)
            at = stop
        elif kind == UNIT:
            length, stop = gather(data, at, end, tables, run)
            if length > 0:
                segment(run, length, dictionary)
                n = put_run(out, n, run, length, stop)
            else:
                stop = end_of_marks(data, at + size, end, classes)
                n = put(out, n, at, stop, hash_of(data, at, stop, fold, more))
            at = stop
        else:
            at += size
            if n > first and ends_sentence(data, at, end, point, classes):
                n = first = put(out, n, at, at, SEED)
    if n > first:
        n = put(out, n, end, end, SEED)
    return n


@inlined
def put(out: WordSpans, n: Whole, begin: Whole, stop: Whole, value: np.uint64) -> Whole:
    """Take in word n; returns the number of the next."""
    out.begin[n], out.stop[n], out.hash[n] = begin, stop, mix(value)
    return n + 1


@inlined
def spaced_word(
    data: Bytes, at: Whole, end: Whole, classes: Bytes, fold: Points, more: Points
) -> tuple[Whole, np.uint64, bool]:
    """Where the word that begins at byte `at` stops, its hash, and whether it holds a letter or a digit."""
    value, holds = SEED, False
    begin = at
    while at < end:
        point, size = decode(data, at)
        flags = classes[point]
        kind: Whole = flags & KIND
        if kind == MID_LETTER and at > begin and joins(data, at + size, end, point, classes):
            kind = np.uint8(CONNECTOR)
        if kind not in (LETTER, DIGIT, CONNECTOR):
            break
        holds |= kind != CONNECTOR
        value = extend(value, fold, more, point) if flags & FOLDS else (value ^ np.uint64(point)) * PRIME
        at += size
        while at < end and np.uint8(data[at] - 97) < 26:  # the fast road: plain lower-case letters
            value, holds = (value ^ np.uint64(data[at])) * PRIME, True
            at += 1
    return at, value, holds


@inlined
def hash_of(data: Bytes, at: Whole, stop: Whole, fold: Points, more: Points) -> np.uint64:
    """The hash of the folded code points of data[at:stop]."""
    value = SEED
    while at < stop:
        point, size = decode(data, at)
        value = extend(value, fold, more, point)
        at += size
    return value


@inlined
def gather(data: Bytes, at: Whole, end: Whole, tables: Tables, run: HanRun) -> tuple[Whole, Whole]:
    """Put the run of Han characters without marks from byte `at` on into `run`, folded; returns its length and where it
    stops."""
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
def put_run(out: WordSpans, n: Whole, run: HanRun, length: Whole, stop: Whole) -> Whole:
    """Take in the words of a run that stops at byte `stop`; returns the number of the next word."""
    value, begin = SEED, 0
    for i in range(length):
        value = (value ^ np.uint64(run.points[i])) * PRIME
        if run.ends[i]:
            after = run.at[i + 1] if i + 1 < length else stop
            n = put(out, n, run.at[begin], after, value)
            value, begin = SEED, i + 1
    return n


@inlined
def ends_sentence(data: Bytes, at: Whole, end: Whole, point: Whole, classes: Bytes) -> Whole:
    """Whether a sentence ends with `point`, which stops at byte `at`: as in `text.words.sentences`."""
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
    room: WordSpans,
    begin: Longs,
    stop: Longs,
    ends: Longs,
) -> None:
    """Of document d, without sentence ends, the words i in range(ends[d], ends[d + 1]), from its first byte on."""
    found = ends[0] = 0
    for d in range(len(offsets) - 1):
        n = split(data, offsets[d], offsets[d + 1], tables, dictionary, run, room)
        for i in range(n):
            if room.stop[i] > room.begin[i]:
                begin[found], stop[found] = room.begin[i] - offsets[d], room.stop[i] - offsets[d]
                found += 1
        ends[d + 1] = found
