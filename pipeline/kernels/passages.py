"""Splits documents into lines or sentences, and hashes each: where it lies, 128 bits of its folded text, its units.

A piece ends at a line feed; a sentence also ends where `pipeline.text.words.sentences` ends it. Further end marks,
closing quotes and brackets right after a full stop of Chinese belong to the sentence before them. Hashes are those of
`text_hash`: case, compatibility forms and the kind of white space make no difference. About 250 MB of text a CPU-second
(tests/benchmarks/bench_passages.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.kernels.code_points import ORDER, PRIME, SEED, Integer, decode, mix
from pipeline.kernels.compiler import inlined, kernel
from pipeline.kernels.hash_table import Hashes
from pipeline.kernels.text_hash import BLANK
from pipeline.kernels.units import CountArray, joins
from pipeline.text.unicode import (
    CONNECTOR,
    DIGIT,
    FOLDS,
    KIND,
    LETTER,
    MARK,
    MID_LETTER,
    NEWLINE,
    SENTENCE_END,
    SPACE,
    UNIT,
    Bytes,
    CodePoints,
    Tables,
)

Positions = npt.NDArray[np.uint32]
Ints = npt.NDArray[np.int32]
CLOSERS = np.array([ord(mark) for mark in "”’」』）】》〉］｝"], np.int64)


class Pieces(NamedTuple):
    """Lines or sentences of a column, in order. Positions are bytes of the document, without white space at the ends.

    `document`: index in the column; `hash`, `check`: 128 bits of the folded text; `words`, `characters`: its units, of
    scripts with and without spaces; `opens`: whether a blank line or the beginning of the document is before it.
    """

    document: Ints
    start: Positions
    end: Positions
    hash: Hashes
    check: Hashes
    words: Ints
    characters: Ints
    opens: Bytes


def space_for(size_bytes: int, documents: int) -> Pieces:
    """Room for the pieces of a column: each takes two bytes. Pages that are never written take no memory."""
    most = size_bytes // 2 + documents + 1
    return Pieces(
        np.empty(most, np.int32), np.empty(most, np.uint32), np.empty(most, np.uint32), np.empty(most, np.uint64),
        np.empty(most, np.uint64), np.empty(most, np.int32), np.empty(most, np.int32), np.empty(most, np.uint8),
    )  # fmt: skip


@kernel
def split_pieces(data: Bytes, offsets: CountArray, tables: Tables, at_sentences: Integer, out: Pieces) -> Integer:
    """Write the lines of all documents, or their sentences. Returns their number.

    `hash_a`, `hash_b`: hashes of the piece so far; `blank`: white space was read and more text may follow; `start`,
    `stop`: where the piece begins (−1: not yet) and where its last character ends; `content`: whether the current word
    has a letter or a digit; `breaks`: line feeds since the piece before.
    """
    classes, fold, more, _ = tables
    n = 0
    for d in range(len(offsets) - 1):
        base, end = offsets[d], offsets[d + 1]
        at, start, stop, breaks = base, np.int64(-1), base, 2
        hash_a, hash_b, blank = SEED, ORDER, False
        words, characters, content, after_unit = 0, 0, 0, False
        while at < end:
            point, size = decode(data, at)
            flags = classes[point]
            kind: Integer = flags & KIND
            begin, at = at, at + size
            ends = point == 10
            if kind in (SPACE, NEWLINE):
                words, content, after_unit = words + content, 0, False
                blank = bool(start >= 0)
            else:
                if start < 0:
                    start = begin
                if blank:
                    hash_a, hash_b = hash_point(hash_a, hash_b, BLANK)
                    blank = False
                if flags & FOLDS:
                    hash_a, hash_b = hash_folded(hash_a, hash_b, fold, more, point)
                else:
                    hash_a, hash_b = hash_point(hash_a, hash_b, np.uint64(point))
                if kind in (LETTER, DIGIT, CONNECTOR):
                    if not (after_unit and flags & MARK):
                        content, after_unit = content | (kind != CONNECTOR), False
                    while at < end and np.uint8(data[at] - 97) < 26:  # fast path: ASCII lower-case letters
                        hash_a, hash_b = hash_point(hash_a, hash_b, np.uint64(data[at]))
                        at, content = at + 1, 1
                elif kind == UNIT:
                    words, content, characters, after_unit = words + content, 0, characters + 1, True
                elif not (kind == MID_LETTER and content and joins(data, at, end, point, classes)):
                    words, content, after_unit = words + content, 0, False
                stop = at
                if at_sentences and flags & SENTENCE_END and ends_here(data, at, end, point, classes):
                    at = stop = end_of_closers(data, at, end, point, classes)
                    ends = True
            if (ends or at >= end) and start >= 0:
                words += content
                out.document[n], out.start[n], out.end[n] = d, start - base, stop - base
                out.hash[n], out.check[n] = mix(hash_a), mix(hash_b)
                out.words[n], out.characters[n], out.opens[n] = words, characters, breaks >= 2
                n, start, breaks = n + 1, np.int64(-1), 0
                hash_a, hash_b, blank = SEED, ORDER, False
                words, characters, content, after_unit = 0, 0, 0, False
            breaks += point == 10
    return n


@inlined
def hash_point(hash_a: np.uint64, hash_b: np.uint64, value: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Both hashes with one more code point, as in `text_hash.hash_folded`."""
    return (hash_a ^ value) * PRIME, (hash_b + value) * ORDER ^ hash_b >> np.uint64(29)


@inlined
def hash_folded(
    hash_a: np.uint64, hash_b: np.uint64, fold: CodePoints, more: CodePoints, point: Integer
) -> tuple[np.uint64, np.uint64]:
    """Both hashes with the folded form of a code point, which may be none or several."""
    folded = fold[point]
    if folded >= 0:
        return hash_point(hash_a, hash_b, np.uint64(folded))
    at = -folded
    for k in range(at, at + more[at - 1]):
        hash_a, hash_b = hash_point(hash_a, hash_b, np.uint64(more[k]))
    return hash_a, hash_b


@inlined
def ends_here(data: Bytes, at: Integer, end: Integer, point: Integer, classes: Bytes) -> Integer:
    """Whether a sentence ends with the end mark `point`, which ends at byte `at`: as in `text.words.sentences`."""
    if point >= 0x80 or at >= end:
        return True
    kind = classes[decode(data, at)[0]] & KIND
    return kind in (SPACE, NEWLINE)


@inlined
def end_of_closers(data: Bytes, at: Integer, end: Integer, point: Integer, classes: Bytes) -> Integer:
    """The end of the further end marks, closing quotes and brackets after an end mark `point` that is not ASCII."""
    while point >= 0x80 and at < end and data[at] >= 0xE2:
        following, size = decode(data, at)
        closes = classes[following] & SENTENCE_END > 0
        for mark in CLOSERS:
            closes = closes or mark == following
        if not closes:
            break
        at += size
    return at
