"""Columns of text as words: `WordCounter` counts them, `WordEncoder` encodes them. `text.words` defines what a word is.

Native code (`pipeline.kernels.vocabulary`); memory grows with the column and the distinct words. Speed: README.
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
from pipeline.kernels.hash_table import Ints
from pipeline.kernels.vocabulary import GrowingWordTable, WordTable
from pipeline.text import chinese_words, unicode
from pipeline.tokenizers.base import Encoded, Encoder

FIRST_WORDS, FIRST_POINTS = 1 << 16, 1 << 20


class WordEncoder(Encoder):
    """A vocabulary and the rules by which text is split; `words[i]` has the id i, and ids below `first` are special.

    `segmenter` is the version that made the vocabulary: another version gives other words and is refused.
    """

    def __init__(
        self, words: Sequence[str], first: int, *, unknown: int, sentence: int, lowercase: bool, segmenter: str
    ) -> None:
        self._words = words
        self._first = first
        self._unknown = unknown
        self._sentence = sentence
        self._tables = tables(lowercase=lowercase)
        self._segmenter = segmenter
        self._vocabulary: WordTable | None = None

    def encode(self, column: pa.LargeStringArray) -> Encoded:
        data, offsets = columns.buffers(column)
        most = int(offsets[-1] - offsets[0]) + len(offsets)
        ids, ends = np.empty(most, np.uint32), np.empty(len(offsets), np.int64)
        run, scratch, word_ids = _scratch(offsets)
        vocabulary.encode_all(
            data, offsets, self._tables, segment.dictionary(), run, scratch, self._load_vocabulary(), word_ids,
            self._unknown, self._sentence, ids, ends,
        )  # fmt: skip
        return Encoded(ids[: ends[-1]].copy(), ends)

    def encode_beginning(self, text: str) -> list[int]:
        """The ids of the beginning of a text: an unfinished last sentence gets no end of sentence."""
        ids = self._encode_text(text)
        continued_ids = self._encode_text(f"{text} a")
        is_unfinished = ids.count(self._sentence) == continued_ids.count(self._sentence)
        return ids[:-1] if is_unfinished and ids[-1:] == [self._sentence] else ids

    def _encode_text(self, text: str) -> list[int]:
        ids: list[int] = self.encode(pa.array([text], pa.large_string())).ids.tolist()
        return ids

    def _load_vocabulary(self) -> WordTable:
        """Created on first use, so that reading the size of a vocabulary does not require jieba."""
        if self._vocabulary is None:
            installed = chinese_words.identity()
            if installed != self._segmenter:
                version = self._segmenter.split()[1].rstrip(",")
                raise UserError(
                    f"tokenizer.json: its words were made with {self._segmenter}, but {installed} is installed. "
                    f"Install the former: pip install jieba=={version}"
                )
            self._vocabulary = vocabulary.word_table(self._words, self._first)
            self._words = ()
        return self._vocabulary


class WordCounter:
    """Counts how often each word occurs in all columns added so far."""

    def __init__(self, *, lowercase: bool) -> None:
        self._tables = tables(lowercase=lowercase)
        self._counted = GrowingWordTable(
            vocabulary.empty_slots(FIRST_WORDS), np.empty(FIRST_WORDS, np.uint64), np.zeros(FIRST_WORDS + 1, np.int64),
            np.empty(FIRST_POINTS, np.int32), np.empty(FIRST_WORDS, np.int64), np.zeros(3, np.int64),
        )  # fmt: skip

    def add(self, column: pa.LargeStringArray) -> None:
        data, offsets = columns.buffers(column)
        run, scratch, word_ids = _scratch(offsets)
        self._counted.state[vocabulary.DOCUMENT] = 0
        status = vocabulary.MORE_WORDS
        while status != vocabulary.DONE:
            status = vocabulary.count_all(
                data, offsets, self._tables, segment.dictionary(), run, scratch, self._counted, word_ids
            )
            self._counted = _grow(self._counted, status)

    def most_frequent(self, number: int, min_count: int) -> list[str]:
        """At most `number` words that occur `min_count` times, by falling count; ties are ordered by bytes."""
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
    """The tables for normalizing words; without `lowercase` words stay as they are written."""
    default = unicode.tables()
    same = np.arange(unicode.CODE_POINTS, dtype=np.int32)
    same.flags.writeable = False
    return default if lowercase else default._replace(fold=same)


def _scratch(offsets: columns.Offsets) -> tuple[segment.HanRun, passes.WordSpans, Ints]:
    largest = int(np.diff(offsets).max(initial=0))
    scratch = passes.scratch(largest)
    return segment.han_run(largest), scratch, np.empty(len(scratch.hash), np.int32)


def _grow(counted: GrowingWordTable, status: int) -> GrowingWordTable:
    """Double the arrays that are full."""
    if status == vocabulary.MORE_POINTS:
        return counted._replace(points=_doubled(counted.points))
    if status == vocabulary.MORE_WORDS:
        words = 2 * len(counted.hash)
        table, distinct = vocabulary.empty_slots(words), counted.state[vocabulary.DISTINCT]
        vocabulary.reindex(table, counted.hash, distinct)
        return counted._replace(
            table=table,
            hash=_doubled(counted.hash),
            ends=_doubled(counted.ends),
            occurrences=_doubled(counted.occurrences),
        )
    return counted


def _doubled(array: np.ndarray) -> np.ndarray:
    grown = np.empty(2 * len(array), array.dtype)
    grown[: len(array)] = array
    return grown
