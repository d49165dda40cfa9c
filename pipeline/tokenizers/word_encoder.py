"""Columns of text as words: `Counter` counts them, `WordEncoder` gives their ids. What a word is, says `text.words`.

Native (`pipeline.kernels.vocabulary`), memory bounded by the column and the distinct words. MB a CPU-second: README.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pyarrow as pa

from pipeline.core.errors import UserError
from pipeline.kernels import column as columns
from pipeline.kernels import segment, vocabulary
from pipeline.kernels import words as passes
from pipeline.kernels.tables import Ints
from pipeline.kernels.vocabulary import WordCounts, WordTable
from pipeline.text import chinese_words, unicode
from pipeline.tokenizers.base import Encoded, Encoder

FIRST_WORDS, FIRST_POINTS = 1 << 16, 1 << 20


class WordEncoder(Encoder):
    """A vocabulary and the rules of words; `words[i]` has the id i, and those below `first` are special.

    `segmenter` is what the vocabulary was made with: another version gives other words, and is refused.
    """

    def __init__(
        self, words: Sequence[str], first: int, *, unknown: int, sentence: int, lowercase: bool, segmenter: str
    ) -> None:
        self._words, self._first, self._unknown, self._sentence = words, first, unknown, sentence
        self._tables = tables(lowercase=lowercase)
        self._segmenter = segmenter
        self._vocabulary: WordTable | None = None

    def encode(self, column: pa.LargeStringArray) -> Encoded:
        data, offsets = columns.buffers(column)
        most = int(offsets[-1] - offsets[0]) + len(offsets)
        ids, ends = np.empty(most, np.uint32), np.empty(len(offsets), np.int64)
        run, room, found = _scratch(offsets)
        vocabulary.encode_all(
            data, offsets, self._tables, segment.dictionary(), run, room, self._known(), found,
            self._unknown, self._sentence, ids, ends,
        )  # fmt: skip
        return Encoded(ids[: ends[-1]].copy(), ends)

    def encode_beginning(self, text: str) -> list[int]:
        """The ids of the beginning of a text: a last sentence that has not ended is left open."""
        found, goes_on = (self.encode(pa.array([one], pa.large_string())).ids.tolist() for one in (text, f"{text} a"))
        open_ended = found.count(self._sentence) == goes_on.count(self._sentence) and found[-1:] == [self._sentence]
        return list(found[:-1] if open_ended else found)

    def _known(self) -> WordTable:
        """Made when first needed: whoever asks for a size alone needs no jieba."""
        if self._vocabulary is None:
            here = chinese_words.identity()
            if here != self._segmenter:
                version = self._segmenter.split()[1].rstrip(",")
                raise UserError(
                    f"tokenizer.json: its words were made with {self._segmenter}; here is {here}. "
                    f"Install that: pip install jieba=={version}"
                )
            self._vocabulary = vocabulary.word_table(self._words, self._first)
            self._words = ()
        return self._vocabulary


class WordCounter:
    """How often each word occurs in all columns that it was given."""

    def __init__(self, *, lowercase: bool) -> None:
        self._tables = tables(lowercase=lowercase)
        self._counted = WordCounts(
            vocabulary.empty_slots(FIRST_WORDS), np.empty(FIRST_WORDS, np.uint64), np.zeros(FIRST_WORDS + 1, np.int64),
            np.empty(FIRST_POINTS, np.int32), np.empty(FIRST_WORDS, np.int64), np.zeros(3, np.int64),
        )  # fmt: skip

    def add(self, column: pa.LargeStringArray) -> None:
        data, offsets = columns.buffers(column)
        run, room, found = _scratch(offsets)
        self._counted.state[vocabulary.DOCUMENT] = 0
        wants = vocabulary.MORE_WORDS
        while wants != vocabulary.DONE:
            wants = vocabulary.count_all(
                data, offsets, self._tables, segment.dictionary(), run, room, self._counted, found
            )
            self._counted = _grown(self._counted, wants)

    def most_frequent(self, number: int, min_count: int) -> list[str]:
        """At most `number` words that occur `min_count` times, by falling count; of equal ones the first by bytes."""
        distinct = int(self._counted.state[vocabulary.DISTINCT])
        counts = self._counted.occurrences[:distinct]
        candidates = np.flatnonzero(counts >= max(min_count, 1))
        if len(candidates) > number:
            least = np.partition(counts[candidates], -number)[-number] if number else 0
            candidates = candidates[counts[candidates] >= least] if number else candidates[:0]
        words = {self._word(i): int(counts[i]) for i in candidates.tolist()}
        # code points sort as their UTF-8 does
        return sorted(words, key=lambda word: (-words[word], word))[:number]

    def _word(self, i: int) -> str:
        begin, end = self._counted.ends[i], self._counted.ends[i + 1]
        return self._counted.points[begin:end].tobytes().decode("utf-32-le")


@cache
def tables(*, lowercase: bool) -> unicode.Tables:
    """The tables by which words are folded; without `lowercase` they stay as they are written."""
    known = unicode.tables()
    same = np.arange(unicode.CODE_POINTS, dtype=np.int32)
    same.flags.writeable = False
    return known if lowercase else known._replace(fold=same)


def _scratch(offsets: columns.Offsets) -> tuple[segment.HanRun, passes.WordSpans, Ints]:
    largest = int(np.diff(offsets).max(initial=0))
    room = passes.room(largest)
    return segment.han_run(largest), room, np.empty(len(room.hash), np.int32)


def _grown(counted: WordCounts, wants: int) -> WordCounts:
    """Twice the room in what is full."""
    if wants == vocabulary.MORE_POINTS:
        return counted._replace(points=_twice(counted.points))
    if wants == vocabulary.MORE_WORDS:
        words = 2 * len(counted.hash)
        table, distinct = vocabulary.empty_slots(words), counted.state[vocabulary.DISTINCT]
        vocabulary.reindex(table, counted.hash, distinct)
        return counted._replace(
            table=table, hash=_twice(counted.hash), ends=_twice(counted.ends), occurrences=_twice(counted.occurrences)
        )
    return counted


def _twice(array: np.ndarray) -> np.ndarray:
    grown = np.empty(2 * len(array), array.dtype)
    grown[: len(array)] = array
    return grown
