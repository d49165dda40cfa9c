"""Splits a document into tokens as spaCy does for English, for the readings of published filters that count them.

The rules are in `pipeline.text.english_tokens`. Words of ASCII letters, with or without a comma or full stop after
them, take a fast path. Linear in the document; it allocates nothing. A test compares the tokens with those of spaCy
where it is installed. About 170 MB of English text per CPU-second.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.kernels.byte_masks import any_letter_mask, lowest_bit
from pipeline.kernels.code_points import Integer, decode
from pipeline.kernels.compiler import bare_inlined, bare_inner
from pipeline.kernels.hash_table import Hashes, Ints
from pipeline.kernels.token_affixes import (
    DOT,
    FACTOR,
    MIX,
    SHIFT,
    Piece,
    find_case,
    infix_length,
    is_address,
    prefix_length,
    special_case,
    suffix_length,
)
from pipeline.kernels.word_hashes import hash_letters, hash_long_word
from pipeline.text.english_tokens import (
    HAS_LETTER,
    INFIX,
    LONGEST_WORD,
    MOST_POINTS,
    PUNCTUATION,
    SENTENCE,
    SYMBOL,
    WHITE,
    TokenTables,
)
from pipeline.text.unicode import Bytes

# flags of a token
WITH_LETTER = 1
WORD = 2  # holds a character that is no mark
ALL_PUNCTUATION = 4
ENDS_SENTENCE = 8
ASCII_WORD = WITH_LETTER | WORD
LAST_BIT = np.uint64(1 << 63)


class Tokens(NamedTuple):
    """Scratch space for the tokens of a document, and for a piece of it.

    `hash[i]`, `power[i]`: polynomial hash of token i and the factor to the power of its length; `end[i + 1]`: code
    points in tokens up to token i; `flags[i]`.
    """

    hash: Hashes
    power: Hashes
    end: Ints
    flags: Bytes
    piece: Piece


def scratch(largest_bytes: int) -> Tokens:
    """Allocate scratch space for documents of up to `largest_bytes`."""
    most = largest_bytes + 2
    hashes, powers = np.empty(most, np.uint64), np.empty(most, np.uint64)
    piece = Piece(np.empty(most, np.int32), np.empty(most + 1, np.uint64), np.empty(most, np.int32))
    return Tokens(hashes, powers, np.empty(most + 1, np.int32), np.empty(most, np.uint8), piece)


@bare_inner
def split_tokens(data: Bytes, start: Integer, end: Integer, tables: TokenTables, n: Integer, out: Tokens) -> Integer:
    """Append the tokens of data[start:end] after the first n in `out`. Returns their number. A document may be split in
    parts that end at white space. The data must be padded (`byte_masks`).

    `letters`: of ASCII, at the beginning of a piece; `value`, `power`: their hash and its power.
    """
    at = start
    if n == 0:
        out.end[0] = 0
    while at < end:
        letters = min(lowest_bit(~any_letter_mask(data, at) | LAST_BIT), end - at)
        if letters > 0:
            if letters <= LONGEST_WORD:
                value, power = hash_letters(data, at, letters), tables.powers[letters]
            else:
                letters, value, power = hash_long_word(data, at, end)
            stop = at + letters
            if not is_contraction(value, letters, tables):
                if stop >= end or is_blank(data[stop]):
                    n = append_token(out, n, value, power, letters, ASCII_WORD)
                    at = stop + 1
                    continue
                if (stop + 1 >= end or is_blank(data[stop + 1])) and is_cut(data, stop, letters, value, tables):
                    n = append_token(out, n, value, power, letters, ASCII_WORD)
                    ends_sentence = ENDS_SENTENCE if data[stop] == DOT else 0
                    n = append_token(out, n, np.uint64(data[stop]), FACTOR, 1, ALL_PUNCTUATION | ends_sentence)
                    at = stop + 2
                    continue
        elif is_blank(data[at]):
            at += 1
            continue
        at, number = read_piece(data, at, end, tables, out)
        n = split_piece(tables, out, n, number)
    return n


@bare_inlined
def is_blank(byte: Integer) -> Integer:
    """Whether a byte is a blank, a tab or a line feed; other white space is found by `read_piece`."""
    return byte == 32 or byte == 10 or byte == 9


@bare_inlined
def is_contraction(value: np.uint64, letters: Integer, tables: TokenTables) -> Integer:
    """Whether a word of letters becomes several tokens ("cannot")."""
    return tables.first[value * MIX >> SHIFT] == 2 and letters <= MOST_POINTS and find_case(value, tables) >> 4 > 0


@bare_inlined
def is_cut(data: Bytes, at: Integer, letters: Integer, value: np.uint64, tables: TokenTables) -> Integer:
    """Whether the comma or full stop at the end of a word of letters is a token of its own."""
    if data[at] == 44:
        return True
    if data[at] != DOT or not (data[at - 1] >= 97 or (letters > 1 and data[at - 2] < 97)):
        return False
    return letters >= MOST_POINTS or find_case(value * FACTOR + np.uint64(DOT), tables) == 0


@bare_inlined
def append_token(
    out: Tokens, n: Integer, value: np.uint64, power: np.uint64, length: Integer, flags: Integer
) -> Integer:
    """Append token n. Returns n + 1."""
    out.hash[n], out.power[n], out.flags[n] = value, power, flags
    out.end[n + 1] = out.end[n] + length
    return n + 1


@bare_inner
def read_piece(data: Bytes, at: Integer, end: Integer, tables: TokenTables, out: Tokens) -> tuple[Integer, Integer]:
    """Decode the code points from `at` to the next white space. Returns where it begins, and their number; if there is
    white space at `at`, no code points and the byte after it."""
    number = 0
    out.piece.hash[0] = 0
    while at < end:
        point, size = decode(data, at)
        if tables.flags[point] & WHITE:
            return (at, number) if number else (at + size, 0)
        out.piece.points[number] = point
        out.piece.hash[number + 1] = out.piece.hash[number] * FACTOR + np.uint64(point)
        at, number = at + size, number + 1
    return at, number


@bare_inner
def split_piece(tables: TokenTables, out: Tokens, n: Integer, number: Integer) -> Integer:
    """Append the tokens of a piece of `number` code points. Returns the new number of tokens.

    `low`, `high`: what is left between prefixes and suffixes; `case`: lengths of the special case found there.
    """
    piece, first, low, high, last, suffixes = out.piece, n, 0, number, -1, 0
    case = np.int64(0)
    while low < high and high - low != last:
        case = special_case(piece, low, high, tables)
        if case:
            break
        last = high - low
        before = prefix_length(piece.points, low, high, tables.flags)
        if before and low + before < high:
            case = special_case(piece, low + before, high, tables)
            if case:
                n = append_points(out, n, low, low + before, tables)
                low += before
                break
        after = suffix_length(piece, low + before, high, tables)
        if after and high - after > low:
            case = special_case(piece, low, high - after, tables)
        if after and (case or not before or before + after <= high - low):
            high -= after
            piece.suffixes[suffixes] = high
            suffixes += 1
        if case:
            break
        if before:
            n = append_points(out, n, low, low + before, tables)
            low += before
    if low < high:
        n = append_middle(out, n, low, high, case, tables)
    for k in range(suffixes - 1, -1, -1):
        n = append_points(out, n, piece.suffixes[k], piece.suffixes[k - 1] if k else number, tables)
    return join_cases(out, first, n, tables) if n - first > 1 else n


@bare_inner
def append_middle(out: Tokens, n: Integer, low: Integer, high: Integer, case: Integer, tables: TokenTables) -> Integer:
    """Append what is left between prefixes and suffixes: a special case, an address, or text split at infixes."""
    while case:
        length = case & 15
        n, low, case = append_points(out, n, low, low + length, tables), low + length, case >> 4
        if case == 0:
            return n
    every = np.uint16(0)
    for at in range(low, high):
        every |= tables.flags[out.piece.points[at]]
    if every & INFIX == 0 or is_address(out.piece.points, low, high, tables.flags):
        return append_points(out, n, low, high, tables)
    begin = at = low
    while at < high:
        length = 0
        if tables.flags[out.piece.points[at]] & INFIX:
            length = infix_length(out.piece.points, begin, at, high, tables.flags)
        if length and at > begin:
            if at > low:
                n = append_points(out, n, low, at, tables)
            n = append_points(out, n, at, at + length, tables)
            low = at + length
        at += max(1, length)
    return append_points(out, n, low, high, tables) if low < high else n


@bare_inner
def append_points(out: Tokens, n: Integer, low: Integer, high: Integer, tables: TokenTables) -> Integer:
    """Append points[low:high] as a token. Returns n + 1."""
    power, flags, every = np.uint64(1), np.uint8(0), np.uint16(0xFFFF)
    for at in range(low, high):
        point_flags = tables.flags[out.piece.points[at]]
        power *= FACTOR
        flags |= np.uint8(WITH_LETTER * (point_flags & HAS_LETTER > 0) | WORD * (point_flags & SYMBOL == 0))
        every &= point_flags
    flags |= np.uint8(ALL_PUNCTUATION * (every & PUNCTUATION > 0))
    flags |= np.uint8(ENDS_SENTENCE * (high - low == 1 and every & SENTENCE > 0))
    value: Integer = out.piece.hash[high] - out.piece.hash[low] * power
    return append_token(out, n, value, power, high - low, flags)


@bare_inner
def join_cases(out: Tokens, first: Integer, n: Integer, tables: TokenTables) -> Integer:
    """Join tokens that together are a special case of one token (emoticons, initials). Returns the number of tokens.

    `joined`: the end of the last tokens that were joined; `blocked`: the end of the last case. A case that overlaps
    another to its left is left alone, as in spaCy: of a row of quotation marks only the first two are joined.
    """
    written, base, joined, blocked = first, out.end[first], first, first
    following = out.end[first]  # where token i begins: out.end[i], which joining the token before may overwrite
    for i in range(first, n):
        value, stop, best, begin = np.uint64(0), i, i, following
        following = out.end[i + 1]
        while stop < n and out.end[stop + 1] - begin <= MOST_POINTS:
            value = value * out.power[stop] + out.hash[stop]
            stop += 1
            if stop > i + 1:
                case = find_case(value, tables)
                if case > 0 and case >> 4 == 0:
                    best = stop
        if best > i and i >= blocked:
            end = out.end[best]
            append_points(out, written, begin - base, end - base, tables)
            out.end[written + 1] = end
            written, joined = written + 1, best
        elif i >= joined:
            out.hash[written], out.power[written], out.flags[written] = out.hash[i], out.power[i], out.flags[i]
            out.end[written + 1] = out.end[i + 1]
            written += 1
        blocked = max(blocked, best)
    return written
