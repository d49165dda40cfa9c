"""From words to ids, and how often each word occurs: two loops over a column, after `words.split`.

A word is found by its hash and then compared, folded code point by code point: two words of one hash stay two words.
About 100 MB of English and 20 of Chinese a CPU-second either way (pipeline/tokenizers/README.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.kernels.compiler import inlined, kernel
from pipeline.kernels.points import PRIME, SEED, Whole, decode, mix
from pipeline.kernels.segment import Dictionary, Run
from pipeline.kernels.tables import Hashes, Ints
from pipeline.kernels.words import Longs, Words, split
from pipeline.text.unicode import Bytes, Tables

Ids = npt.NDArray[np.uint32]

UPPER = np.uint64(0xFFFFFFFF00000000)

# what `count_all` wants of its caller
DONE, MORE_WORDS, MORE_POINTS = 0, 1, 2
# `Counted.state` by index: distinct words; the document and the word in it to go on with
DISTINCT, DOCUMENT, WORD = 0, 1, 2


class Vocabulary(NamedTuple):
    """Word i is points[ends[i]:ends[i + 1]] and has the id i. `table`: at each slot the upper half of a word's hash
    over its id + 1, 0 empty, at most half full: most slots are judged without a look at the word."""

    table: Hashes
    hash: Hashes
    ends: Longs
    points: Ints


class Counted(NamedTuple):
    """A vocabulary that grows: as there, with how often each word was seen."""

    table: Hashes
    hash: Hashes
    ends: Longs
    points: Ints
    seen: Longs
    state: Longs


def vocabulary(words: Sequence[str], first: int) -> Vocabulary:
    """Words by id, of which those below `first` are never found in a text."""
    # a copy that can be written: loops are compiled for each kind of array
    points = np.frombuffer("".join(words).encode("utf-32-le"), np.int32).copy()
    ends = np.zeros(len(words) + 1, np.int64)
    np.cumsum([len(word) for word in words], out=ends[1:])
    found = Vocabulary(slots(len(words)), np.empty(len(words), np.uint64), ends, points)
    index(found, first)
    return found


def slots(words: int) -> Hashes:
    """An empty table for so many words."""
    return np.zeros(max(8, 1 << (2 * words).bit_length()), np.uint64)


@kernel
def index(words: Vocabulary, first: Whole) -> None:
    """Hash every word from `first` on and put it in the table."""
    for i in range(first, len(words.hash)):
        value = SEED
        for k in range(words.ends[i], words.ends[i + 1]):
            value = (value ^ np.uint64(words.points[k])) * PRIME
        words.hash[i] = mix(value)
        put(words.table, words.hash, i)


@kernel
def index_again(table: Hashes, hashes: Hashes, number: Whole) -> None:
    """Put the first `number` words in a new table."""
    for i in range(number):
        put(table, hashes, i)


@inlined
def put(table: Hashes, hashes: Hashes, i: Whole) -> None:
    mask = np.uint64(len(table) - 1)
    slot = hashes[i] & mask
    while table[slot]:
        slot = (slot + np.uint64(1)) & mask
    table[slot] = hashes[i] & UPPER | np.uint64(i + 1)


@kernel
def find(data: Bytes, room: Words, n: Whole, tables: Tables, words: Vocabulary | Counted, found: Ints) -> None:
    """found[i] = which word the i-th of a document is: −1 one that is not there, −2 the end of a sentence.

    One loop without calls that take arrays: counting references would cost more than all the rest.
    """
    fold, more = tables.fold, tables.more
    begins, stops, hashes = room.begin, room.stop, room.hash
    table, borders, points = words.table, words.ends, words.points
    mask = np.uint64(len(table) - 1)
    for i in range(n):
        begin, stop, value = begins[i], stops[i], hashes[i]
        found[i] = -1 if stop > begin else -2
        slot = value & mask
        while stop > begin and table[slot]:
            if not (table[slot] ^ value) & UPPER:
                word = np.int64(table[slot] & ~UPPER) - 1
                at, end, here = borders[word], borders[word + 1], begin
                while here < stop and at < end and data[here] < 0x80 and points[at] == fold[data[here]]:
                    here, at = here + 1, at + 1  # the fast road: an ASCII character folds to one
                while here < stop and at >= 0:
                    point, size = decode(data, here)
                    here, folded = here + size, fold[point]
                    if folded >= 0:
                        at = at + 1 if at < end and points[at] == folded else -1
                    else:
                        for k in range(-folded, -folded + more[-1 - folded]):
                            at = at + 1 if 0 <= at < end and points[at] == more[k] else -1
                if at == end:
                    found[i] = word
                    break
            slot = (slot + np.uint64(1)) & mask


@kernel
def encode_all(
    data: Bytes,
    offsets: Longs,
    tables: Tables,
    dictionary: Dictionary,
    run: Run,
    room: Words,
    words: Vocabulary,
    found: Ints,
    unknown: Whole,
    sentence: Whole,
    out: Ids,
    ends: Longs,
) -> None:
    """The ids of document d are out[ends[d]:ends[d + 1]]: its words, and `sentence` after each sentence with words."""
    at = ends[0] = 0
    for d in range(len(offsets) - 1):
        n = split(data, offsets[d], offsets[d + 1], tables, dictionary, run, room)
        find(data, room, n, tables, words, found)
        for i in range(n):
            out[at + i] = found[i] if found[i] >= 0 else unknown if found[i] == -1 else sentence
        at += n
        ends[d + 1] = at


@kernel
def count_all(
    data: Bytes,
    offsets: Longs,
    tables: Tables,
    dictionary: Dictionary,
    run: Run,
    room: Words,
    counted: Counted,
    found: Ints,
) -> Whole:
    """Count the words of every document from state[DOCUMENT] on; says which array is full, and goes on when called."""
    state = counted.state
    while state[DOCUMENT] < len(offsets) - 1:
        d = state[DOCUMENT]
        n = split(data, offsets[d], offsets[d + 1], tables, dictionary, run, room)
        find(data, room, n, tables, counted, found)
        while state[WORD] < n:
            i = state[WORD]
            if found[i] >= 0:
                counted.seen[found[i]] += 1
            elif found[i] == -1:
                full = add(data, room.begin[i], room.stop[i], room.hash[i], tables, counted)
                if full != DONE:
                    return full
            state[WORD] += 1
        state[DOCUMENT] += 1
        state[WORD] = 0
    return DONE


@kernel
def add(data: Bytes, begin: Whole, stop: Whole, value: np.uint64, tables: Tables, counted: Counted) -> Whole:
    """Count a word that was not there before this document: by now it may be."""
    table, hashes, ends, points, seen, state = counted
    word = state[DISTINCT]
    if word >= len(hashes) or 2 * word >= len(table):
        return MORE_WORDS
    # written, folded, where it would stand; left there if it is new
    at = ends[word]
    while begin < stop:
        point, size = decode(data, begin)
        folded = tables.fold[point]
        parts = 1 if folded >= 0 else tables.more[-1 - folded]
        if at + parts > len(points):
            return MORE_POINTS
        for k in range(parts):
            points[at + k] = folded if folded >= 0 else tables.more[k - folded]
        begin, at = begin + size, at + parts
    slot = value & np.uint64(len(table) - 1)
    while table[slot]:
        other = np.int64(table[slot] & ~UPPER) - 1
        if hashes[other] == value and np.array_equal(points[ends[other] : ends[other + 1]], points[ends[word] : at]):
            seen[other] += 1
            return DONE
        slot = (slot + np.uint64(1)) & np.uint64(len(table) - 1)
    table[slot], hashes[word], ends[word + 1], seen[word] = value & UPPER | np.uint64(word + 1), value, at, 1
    state[DISTINCT] += 1
    return DONE
