"""Maps words to ids and counts words: two loops over a column, after `words.split`.

A word is looked up by its hash and then compared by its folded code points, so two words with the same hash stay
distinct. Both loops process about 100 MB of English or 20 MB of Chinese per CPU-second (pipeline/tokenizers/README.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.kernels.code_points import PRIME, SEED, Integer, decode, mix
from pipeline.kernels.compiler import inlined, inner_kernel, kernel
from pipeline.kernels.hash_table import Hashes, Ints
from pipeline.kernels.segment import Dictionary, HanRun
from pipeline.kernels.words import Longs, WordSpans, split
from pipeline.text.unicode import Bytes, Tables

Ids = npt.NDArray[np.uint32]

UPPER = np.uint64(0xFFFFFFFF00000000)

# results of `count_all`: done, or the array that its caller must enlarge
DONE, MORE_WORDS, MORE_POINTS = 0, 1, 2
# indexes of `GrowingWordTable.state`: distinct words; the document, and the word in it, to continue with
DISTINCT, DOCUMENT, WORD = 0, 1, 2


class WordTable(NamedTuple):
    """Word i is points[ends[i]:ends[i + 1]] and has the id i. `table`: in each slot the upper half of a word's hash and
    its id + 1, or 0 if empty; at most half full. Most slots are rejected without a comparison of words."""

    table: Hashes
    hash: Hashes
    ends: Longs
    points: Ints


class GrowingWordTable(NamedTuple):
    """A word table that grows, with the number of occurrences of each word."""

    table: Hashes
    hash: Hashes
    ends: Longs
    points: Ints
    occurrences: Longs
    state: Longs


def word_table(words: Sequence[str], first: int) -> WordTable:
    """The table of words by id. Words below `first` are not in the index, so no text contains them."""
    # a writable copy: loops are compiled again for read-only arrays
    points = np.frombuffer("".join(words).encode("utf-32-le"), np.int32).copy()
    ends = np.zeros(len(words) + 1, np.int64)
    np.cumsum([len(word) for word in words], out=ends[1:])
    table = WordTable(empty_slots(len(words)), np.empty(len(words), np.uint64), ends, points)
    index_words(table, first)
    return table


def empty_slots(words: int) -> Hashes:
    """An empty hash table for `words` words."""
    return np.zeros(max(8, 1 << (2 * words).bit_length()), np.uint64)


@kernel
def index_words(words: WordTable, first: Integer) -> None:
    """Hash every word from `first` on and insert it into the table."""
    for i in range(first, len(words.hash)):
        value = SEED
        for k in range(words.ends[i], words.ends[i + 1]):
            value = (value ^ np.uint64(words.points[k])) * PRIME
        words.hash[i] = mix(value)
        insert(words.table, words.hash, i)


@kernel
def reindex(table: Hashes, hashes: Hashes, number: Integer) -> None:
    """Insert the first `number` words into a new table."""
    for i in range(number):
        insert(table, hashes, i)


@inlined
def insert(table: Hashes, hashes: Hashes, i: Integer) -> None:
    mask = np.uint64(len(table) - 1)
    slot = hashes[i] & mask
    while table[slot]:
        slot = (slot + np.uint64(1)) & mask
    table[slot] = hashes[i] & UPPER | np.uint64(i + 1)


@inner_kernel
def look_up(
    data: Bytes, scratch: WordSpans, n: Integer, tables: Tables, words: WordTable | GrowingWordTable, word_ids: Ints
) -> None:
    """Set word_ids[i] to the id of word i of a document: −1 if it is not in the table, −2 for the end of a sentence.

    A single loop without calls that take arrays: reference counting would cost more than the rest.
    """
    fold, more = tables.fold, tables.more
    begins, stops, hashes = scratch.begin, scratch.stop, scratch.hash
    table, borders, points = words.table, words.ends, words.points
    mask = np.uint64(len(table) - 1)
    for i in range(n):
        begin, stop, value = begins[i], stops[i], hashes[i]
        word_ids[i] = -1 if stop > begin else -2
        slot = value & mask
        while stop > begin and table[slot]:
            if not (table[slot] ^ value) & UPPER:
                word = np.int64(table[slot] & ~UPPER) - 1
                at, end, position = borders[word], borders[word + 1], begin
                while position < stop and at < end and data[position] < 0x80 and points[at] == fold[data[position]]:
                    position, at = position + 1, at + 1  # fast path: an ASCII character folds to one
                while position < stop and at >= 0:
                    point, size = decode(data, position)
                    position, folded = position + size, fold[point]
                    if folded >= 0:
                        at = at + 1 if at < end and points[at] == folded else -1
                    else:
                        for k in range(-folded, -folded + more[-1 - folded]):
                            at = at + 1 if 0 <= at < end and points[at] == more[k] else -1
                if at == end:
                    word_ids[i] = word
                    break
            slot = (slot + np.uint64(1)) & mask


@kernel
def encode_all(
    data: Bytes,
    offsets: Longs,
    tables: Tables,
    dictionary: Dictionary,
    run: HanRun,
    scratch: WordSpans,
    words: WordTable,
    word_ids: Ints,
    unknown: Integer,
    sentence: Integer,
    out: Ids,
    ends: Longs,
) -> None:
    """Write the ids of the words, and `sentence` after each sentence. Document d has out[ends[d]:ends[d + 1]]."""
    at = ends[0] = 0
    for d in range(len(offsets) - 1):
        n = split(data, offsets[d], offsets[d + 1], tables, dictionary, run, scratch)
        look_up(data, scratch, n, tables, words, word_ids)
        for i in range(n):
            out[at + i] = word_ids[i] if word_ids[i] >= 0 else unknown if word_ids[i] == -1 else sentence
        at += n
        ends[d + 1] = at


@kernel
def count_all(
    data: Bytes,
    offsets: Longs,
    tables: Tables,
    dictionary: Dictionary,
    run: HanRun,
    scratch: WordSpans,
    counts: GrowingWordTable,
    word_ids: Ints,
) -> Integer:
    """Count the words of all documents from state[DOCUMENT] on. Returns which array is full; call again to continue."""
    state = counts.state
    while state[DOCUMENT] < len(offsets) - 1:
        d = state[DOCUMENT]
        n = split(data, offsets[d], offsets[d + 1], tables, dictionary, run, scratch)
        look_up(data, scratch, n, tables, counts, word_ids)
        while state[WORD] < n:
            i = state[WORD]
            if word_ids[i] >= 0:
                counts.occurrences[word_ids[i]] += 1
            elif word_ids[i] == -1:
                full = count_new_word(data, scratch.begin[i], scratch.stop[i], scratch.hash[i], tables, counts)
                if full != DONE:
                    return full
            state[WORD] += 1
        state[DOCUMENT] += 1
        state[WORD] = 0
    return DONE


@inner_kernel
def count_new_word(
    data: Bytes, begin: Integer, stop: Integer, value: np.uint64, tables: Tables, counts: GrowingWordTable
) -> Integer:
    """Count a word that was not in the table before this document; an earlier word of it may have added it."""
    table, hashes, ends, points, occurrences, state = counts
    word = state[DISTINCT]
    if word >= len(hashes) or 2 * word >= len(table):
        return MORE_WORDS
    # the folded word is written after the last one, and stays there if it is new
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
        candidate = np.int64(table[slot] & ~UPPER) - 1
        if hashes[candidate] == value and np.array_equal(
            points[ends[candidate] : ends[candidate + 1]], points[ends[word] : at]
        ):
            occurrences[candidate] += 1
            return DONE
        slot = (slot + np.uint64(1)) & np.uint64(len(table) - 1)
    table[slot], hashes[word], ends[word + 1], occurrences[word] = value & UPPER | np.uint64(word + 1), value, at, 1
    state[DISTINCT] += 1
    return DONE
