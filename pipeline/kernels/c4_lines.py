"""C4's rules for one line (Raffel et al. 2020): citations removed, then whether it stays, goes, or damns its page.

The order of the rules is that of the published code: a word that is too long, citations, the end mark, too few words,
lorem ipsum, JavaScript, a curly bracket, policies. Lorem ipsum on a line without an end mark is therefore never seen.
Linear; text is compared 64 bytes at a time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.kernels.byte_masks import (
    BLOCK,
    NONE,
    byte_mask,
    count_bits,
    first_bits,
    letter_mask,
    lowest_bit,
    range_mask,
)
from pipeline.kernels.code_points import Integer, decode
from pipeline.kernels.compiler import bare_inlined, bare_inner
from pipeline.text.unicode import KIND, SENTENCE_END, UNIT, Bytes

# results of `judge_line`
KEEP, DROP, LOREM_IPSUM, BRACKET = 0, 1, 2, 3
LONGEST_WORD = 1000  # code points
PHRASES = (
    "lorem ipsum", "javascript", "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies",
    "use cookies",
)  # fmt: skip
PHRASE_BYTES = np.frombuffer("".join(PHRASES).encode(), np.uint8)
PHRASE_ENDS = np.cumsum([0, *map(len, PHRASES)])
# places of the letters that are compared first; they are rare, or far apart
PHRASE_LETTERS = np.array(
    [[0, 4, 6], [0, 2, 6], [0, 6, 9], [0, 3, 8], [0, 3, 7], [0, 5, 8], [0, 7, 10], [0, 4, 7]], np.int64
)
LETTERS = 3
EDIT, NEEDED = (np.frombuffer(text.encode(), np.uint8) for text in ("[edit", "[citation needed"))
CHINESE_ENDS = np.array([ord(mark) for mark in "。！？；…”」』）"], np.int64)


class LineRules(NamedTuple):
    """What differs between the readings of C4.

    `end_mark`: whether a line must end in a mark; `apostrophe`: whether ' is one; `counts_citations`: whether words are
    counted before citations are removed; `least_words`; `units`: whether a character of a script without spaces counts
    as a word and a line with such characters may end in a Chinese mark.
    """

    end_mark: bool
    apostrophe: bool
    counts_citations: bool
    least_words: int
    units: bool


@bare_inlined
def white_size(data: Bytes, at: Integer, end: Integer) -> Integer:
    """The size in bytes of the white space at `at` (as Python's str.isspace), 0 for another character."""
    byte = data[at]
    if byte <= 32:
        return 1 if byte == 32 or 9 <= byte <= 13 or byte >= 28 else 0
    if byte < 0xC2 or byte > 0xE3:
        return 0
    if byte == 0xC2:
        return 2 if data[at + 1] == 0x85 or data[at + 1] == 0xA0 else 0
    if byte < 0xE1:
        return 0
    second, third = data[at + 1], data[at + 2]
    if byte == 0xE2 and second == 0x80:
        return 3 if third <= 0x8A or third == 0xA8 or third == 0xA9 or third == 0xAF else 0
    if (byte == 0xE2 and second == 0x81 and third == 0x9F) or (byte == 0xE1 and second == 0x9A and third == 0x80):
        return 3
    return 3 if byte == 0xE3 and second == 0x80 and third == 0x80 else 0


@bare_inner
def strip(data: Bytes, start: Integer, end: Integer) -> tuple[Integer, Integer]:
    """The part of data[start:end] without white space at its ends."""
    while start < end:
        size = white_size(data, start, end)
        if size == 0:
            break
        start += size
    while start < end:
        last = end - 1
        while data[last] & 0xC0 == 0x80:
            last -= 1
        if white_size(data, last, end) == 0:
            break
        end = last
    return start, end


@bare_inner
def count_words(
    data: Bytes, start: Integer, end: Integer, classes: Bytes, units: Integer
) -> tuple[Integer, Integer, Integer]:
    """The number of pieces between white space, the code points of the longest one, and the number of characters of
    scripts without spaces (0 unless `units`)."""
    pieces: Integer = 0
    longest: Integer = 0
    length: Integer = 0
    characters: Integer = 0
    at = start
    while at < end:
        byte = data[at]
        if byte > 32 and byte < 0xC2:
            length, at = length + (byte < 0x80), at + 1
            continue
        size = white_size(data, at, end)
        if size == 0:
            if units and byte >= 0xE0:
                characters += classes[decode(data, at)[0]] & KIND == UNIT
            length, at = length + 1, at + 1
            continue
        pieces, longest, length, at = pieces + (length > 0), max(longest, length), 0, at + size
    return pieces + (length > 0), max(longest, length), characters


@bare_inner
def scan_line(data: Bytes, start: Integer, end: Integer) -> tuple[Integer, Integer, Integer]:
    """The number of pieces between white space of ASCII, and whether the line has other characters and "]"."""
    pieces: Integer = 0
    before, beyond_ascii, closing = np.uint64(0), NONE, NONE
    for at in range(start, end, BLOCK):
        inside = first_bits(end - at)
        white = byte_mask(data, at, 32) | range_mask(data, at, 9, 5) | range_mask(data, at, 28, 4)
        piece = ~white & inside
        pieces += count_bits(piece & ~(piece << np.uint64(1) | before))
        before = piece >> np.uint64(BLOCK - 1)
        beyond_ascii |= range_mask(data, at, 0x80, 0x80) & inside
        closing |= byte_mask(data, at, 93) & inside
    return pieces, beyond_ascii != NONE, closing != NONE


@bare_inner
def remove_citations(data: Bytes, start: Integer, end: Integer, out: Bytes) -> Integer:
    """Copy data[start:end] to `out` without [12], [], [edit] and [citation needed], also where removing one makes
    another. Returns the length."""
    length = 0
    for at in range(start, end):
        out[length] = data[at]
        length += 1
        if data[at] == 93:
            begin = length - 2
            while begin >= 0 and 48 <= out[begin] <= 57:
                begin -= 1
            if begin >= 0 and out[begin] == 91:
                length = begin
            elif ends_with(out, length - 1, EDIT):
                length -= 1 + len(EDIT)
            elif ends_with(out, length - 1, NEEDED):
                length -= 1 + len(NEEDED)
    return length


@bare_inlined
def ends_with(data: Bytes, end: Integer, ending: Bytes) -> Integer:
    """Whether data[:end] ends with `ending`."""
    if end < len(ending):
        return False
    for k in range(len(ending)):  # noqa: SIM110 - numba
        if data[end - len(ending) + k] != ending[k]:
            return False
    return True


@bare_inner
def ends_properly(line: Bytes, start: Integer, end: Integer, rules: LineRules, has_units: Integer) -> Integer:
    """Whether line[start:end] ends in an end mark and not in an ellipsis of dots."""
    length = end - start
    if length == 0:
        return False
    last = line[end - 1]
    if last < 0x80:
        if last == 46:
            return not (length >= 3 and line[end - 2] == 46 and line[end - 3] == 46)
        return last == 63 or last == 33 or last == 34 or (rules.apostrophe and last == 39)
    if not has_units or length < 3:
        return False
    begin = end - 1
    while begin > start and line[begin] & 0xC0 == 0x80:
        begin -= 1
    point = decode(line, begin)[0]
    for k in range(len(CHINESE_ENDS)):  # noqa: SIM110 - numba
        if CHINESE_ENDS[k] == point:
            return True
    return False


@bare_inner
def find_phrases(line: Bytes, start: Integer, end: Integer) -> Integer:
    """A bit for each phrase of PHRASES in line[start:end], in any case, and the bit after them for a curly bracket.

    Three letters of a phrase, in their places, are compared 64 bytes at a time; what has them is compared in full.
    """
    seen = 0
    for at in range(start, end, BLOCK):
        inside = first_bits(end - at)
        if byte_mask(line, at, 123) & inside:
            seen |= 1 << len(PHRASES)
        for k in range(len(PHRASES)):
            begin, size = PHRASE_ENDS[k], PHRASE_ENDS[k + 1] - PHRASE_ENDS[k]
            candidates = inside
            for j in range(LETTERS):
                place = PHRASE_LETTERS[k, j]
                candidates &= letter_mask(line, at + place, PHRASE_BYTES[begin + place])
            while candidates:
                first = at + lowest_bit(candidates)
                candidates &= candidates - np.uint64(1)
                same = 0 if first + size <= end else size + 1
                while same < size and PHRASE_BYTES[begin + same] == lower_case(line[first + same]):
                    same += 1
                if same == size:
                    seen |= 1 << k
    return seen


@bare_inlined
def lower_case(byte: Integer) -> Integer:
    return byte | 32 if 65 <= byte <= 90 else byte


@bare_inner
def judge_line(
    data: Bytes, start: Integer, end: Integer, classes: Bytes, rules: LineRules, line: Bytes
) -> tuple[Integer, Integer, Integer, Integer]:
    """Returns the verdict on a line; where it begins and ends without white space at its ends; and −1, or its length in
    `line`, to which it was copied without its citations."""
    start, end = strip(data, start, end)
    pieces, beyond_ascii, closing = scan_line(data, start, end)
    longest: Integer = 0
    units: Integer = 0
    if beyond_ascii or end - start > LONGEST_WORD:
        pieces, longest, units = count_words(data, start, end, classes, rules.units)
    if longest > LONGEST_WORD and units == 0:
        return DROP, start, end, -1
    if not closing:
        return judge_text(data, start, end, pieces, units, rules), start, end, -1
    length = remove_citations(data, start, end, line)
    if not rules.counts_citations and length < end - start:
        pieces, _, units = count_words(line, 0, length, classes, rules.units)
    return judge_text(line, 0, length, pieces, units, rules), start, end, length


@bare_inner
def judge_text(line: Bytes, start: Integer, end: Integer, pieces: Integer, units: Integer, rules: LineRules) -> Integer:
    """The verdict on line[start:end], which has no citations any more."""
    if rules.end_mark and not ends_properly(line, start, end, rules, units):
        return DROP
    if pieces + units < rules.least_words:
        return DROP
    seen = find_phrases(line, start, end)
    if seen & 1:
        return LOREM_IPSUM
    if seen & 2:
        return DROP
    if seen >> len(PHRASES) & 1:
        return BRACKET
    return DROP if seen else KEEP


@bare_inner
def count_sentences(line: Bytes, start: Integer, end: Integer, classes: Bytes) -> Integer:
    """The number of sentences of a line: marks that end one in any script (a full stop, ? and ! before white space or
    at the end), and text after the last mark."""
    sentences, at, open_text, ended = 0, start, False, False
    while at < end:
        point, size = decode(line, at)
        at += size
        if classes[point] & SENTENCE_END:
            ended = ended or (open_text and (point >= 0x80 or at >= end or not is_word_byte(line[at])))
        elif ended and not (point == 34 or point == 39 or point == 41 or point == 0x201D or point == 0x300D):
            sentences, ended, open_text = sentences + 1, False, False
        if point > 32 and classes[point] & KIND not in (0, 1, 5):
            open_text = True
    return sentences + (ended or open_text)


@bare_inlined
def is_word_byte(byte: Integer) -> Integer:
    return 48 <= byte <= 57 or 65 <= byte <= 90 or 97 <= byte <= 122 or byte >= 0x80
