"""The signals of published filters in one pass: tokens, raw lines, repeated n-grams and C4's lines of every document.

A row of COUNTS for each document; `pipeline.filters.published` divides them. Only what is asked for is computed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.kernels import column, ngrams, raw_lines, token_repeats, tokens
from pipeline.kernels.byte_masks import BLOCK, PADDING, byte_mask, count_bits, first_bits, lowest_bit, padded
from pipeline.kernels.c4_lines import BRACKET, KEEP, LOREM_IPSUM, LineRules, count_sentences, judge_line
from pipeline.kernels.code_points import Integer
from pipeline.kernels.compiler import bare_inner, bare_kernel
from pipeline.kernels.raw_lines import count_line_shape, measure_raw_lines, next_break
from pipeline.kernels.refinedweb_lines import judge_menu_line
from pipeline.kernels.token_affixes import MIX
from pipeline.kernels.token_repeats import measure_token_repeats
from pipeline.kernels.tokens import ALL_PUNCTUATION, ENDS_SENTENCE, WITH_LETTER, WORD, split_tokens
from pipeline.kernels.units import CountArray
from pipeline.text import unicode
from pipeline.text.english_tokens import STOP_SLOT_BITS, TokenTables, token_tables
from pipeline.text.unicode import Bytes

# what to measure
REPEATS, C4, TOKENS, MENUS = 1, 2, 4, 8
# indexes of COUNTS, after those of `raw_lines` and `token_repeats`
_AFTER = raw_lines.WIDTH + ngrams.WIDTH
TOKEN_COUNT = _AFTER
WORDS = _AFTER + 1  # tokens that hold a character that is no mark
WORD_CHARACTERS = _AFTER + 2
LETTER_TOKENS = _AFTER + 3
STOP_WORDS = _AFTER + 4  # distinct, of Gopher's eight, in lower case
HASH_SIGNS, DOTS = _AFTER + 5, _AFTER + 6  # "#"; "..." and "…"
SENTENCES, LOREM_LINES, BRACKET_LINES = _AFTER + 7, _AFTER + 8, _AFTER + 9
LINE_CHARACTERS = _AFTER + 10  # code points of the text without line feeds
FLAGGED_WORDS, LINE_WORDS = _AFTER + 11, _AFTER + 12  # in lines that RefinedWeb flags; in all lines
WIDTH = _AFTER + 13
REPEAT_COUNTS = raw_lines.WIDTH
STOP_SHIFT = np.uint64(64 - STOP_SLOT_BITS)
NO_RULES = LineRules(False, False, False, 0, False)


class Scratch(NamedTuple):
    """Scratch space that is used for one document after another."""

    tokens: tokens.Tokens
    lines: raw_lines.RawLines
    repeats: token_repeats.Repeats
    line: Bytes


def measure(text: pa.Array, measures: int, rules: LineRules = NO_RULES) -> npt.NDArray[np.int64]:
    """The counts of every document, [documents, WIDTH]; `measures` is a sum of REPEATS, C4, TOKENS and MENUS."""
    data, offsets = column.buffers(text)
    out = np.zeros((len(offsets) - 1, WIDTH), np.int64)
    largest = int(np.diff(offsets).max(initial=0))
    scratch = Scratch(
        tokens.scratch(2 * largest + 2), raw_lines.scratch(largest), token_repeats.scratch(largest),
        np.empty(largest + PADDING, np.uint8),
    )  # fmt: skip
    measure_documents(
        padded(data, int(offsets[-1])), offsets, unicode.tables().classes, token_tables(), measures, rules, scratch, out
    )
    return out


@bare_kernel
def measure_documents(
    data: Bytes,
    offsets: CountArray,
    classes: Bytes,
    tables: TokenTables,
    measures: Integer,
    rules: LineRules,
    scratch: Scratch,
    out: CountArray,
) -> None:
    """Fill a row of counts for every document."""
    for d in range(len(offsets) - 1):
        start, end, counts = offsets[d], offsets[d + 1], out[d]
        measure_raw_lines(data, start, end, tables.flags, scratch.lines, counts)
        counts[LINE_CHARACTERS] = counts[raw_lines.CHARACTERS] - counts[raw_lines.FEEDS]
        count_signs(data, start, end, counts)
        n, at = 0, start
        while at < end:
            stop, following = next_break(data, at, end)
            count_line_shape(data, at, stop, counts)
            first = n
            if measures & (TOKENS | REPEATS) or (measures & C4 and not rules.units):
                n = split_tokens(data, at, stop, tables, n, scratch.tokens)
            if measures & C4:
                verdict, begin, finish, length = judge_line(data, at, stop, classes, rules, scratch.line)
                counts[LOREM_LINES] += verdict == LOREM_IPSUM
                counts[BRACKET_LINES] += verdict == BRACKET
                if verdict == KEEP and rules.units and length >= 0:
                    counts[SENTENCES] += count_sentences(scratch.line, 0, length, classes)
                elif verdict == KEEP and rules.units:
                    counts[SENTENCES] += count_sentences(data, begin, finish, classes)
                elif verdict == KEEP:
                    last = n
                    if length >= 0:  # citations may have been removed
                        first, last = n, split_tokens(scratch.line, 0, length, tables, n, scratch.tokens)
                    counts[SENTENCES] += count_token_sentences(scratch.tokens, first, last)
            if measures & MENUS:
                flagged, words = judge_menu_line(data, at, stop, classes)
                counts[FLAGGED_WORDS] += words if flagged else 0
                counts[LINE_WORDS] += words
            at = following
        if measures & (TOKENS | REPEATS):
            count_tokens(scratch.tokens, n, tables, counts)
        if measures & REPEATS:
            measure_token_repeats(scratch.tokens, n, scratch.repeats, counts[REPEAT_COUNTS:])


@bare_inner
def count_tokens(document: tokens.Tokens, n: Integer, tables: TokenTables, counts: CountArray) -> None:
    """Count tokens, words and stop words. `present`: a bit for each stop word."""
    words = characters = letters = np.int64(0)
    present = np.uint64(0)
    for i in range(n):
        flags, value = document.flags[i], document.hash[i]
        is_word = np.int64((flags & WORD) > 0)
        words += is_word
        characters += is_word * np.int64(document.end[i + 1] - document.end[i])
        letters += np.int64(flags & WITH_LETTER)
        slot = value * MIX >> STOP_SHIFT
        present |= np.uint64(tables.stop_bits[slot]) * np.uint64(tables.stop_words[slot] == value)
    counts[TOKEN_COUNT], counts[WORDS], counts[WORD_CHARACTERS], counts[LETTER_TOKENS] = n, words, characters, letters
    counts[STOP_WORDS] = count_bits(present)


@bare_inner
def count_token_sentences(line: tokens.Tokens, first: Integer, last: Integer) -> Integer:
    """Sentences as spaCy's sentencizer counts them: one begins at the first token that is no punctuation after a mark
    that ends one."""
    sentences: Integer = 1 if last > first else 0
    ended = False
    for i in range(first, last):
        flags = line.flags[i]
        if flags & ENDS_SENTENCE:
            ended = True
        elif ended and not flags & ALL_PUNCTUATION:
            sentences, ended = sentences + 1, False
    return sentences


@bare_inner
def count_signs(data: Bytes, start: Integer, end: Integer, counts: CountArray) -> None:
    """Count "#", and "..." (not overlapping) and "…"."""
    free = start  # where the next three dots may begin
    for at in range(start, end, BLOCK):
        inside = first_bits(end - at)
        counts[HASH_SIGNS] += count_bits(byte_mask(data, at, 35) & inside)
        ellipses = byte_mask(data, at, 0xE2) & byte_mask(data, at + 1, 0x80) & byte_mask(data, at + 2, 0xA6)
        counts[DOTS] += count_bits(ellipses & inside)
        dots = byte_mask(data, at, 46) & byte_mask(data, at + 1, 46) & byte_mask(data, at + 2, 46) & inside
        while dots:
            first = at + lowest_bit(dots)
            dots &= dots - np.uint64(1)
            if first >= free and first + 3 <= end:
                counts[DOTS], free = counts[DOTS] + 1, first + 3
