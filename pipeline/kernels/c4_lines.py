"""C4's rules for one line (Raffel et al. 2020): citations removed, then whether it stays, goes, or damns its page.

The order of the rules is that of the published code: a word that is too long, citations, the end mark, too few words,
lorem ipsum, JavaScript, a curly bracket, policies. Lorem ipsum on a line without an end mark is therefore never seen.
Linear; about 400 MB of text per CPU-second.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

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
def ends_properly(line: Bytes, length: Integer, rules: LineRules, has_units: Integer) -> Integer:
    """Whether the line ends in an end mark and not in an ellipsis of dots."""
    if length == 0:
        return False
    last = line[length - 1]
    if last < 0x80:
        if last == 46:
            return not (length >= 3 and line[length - 2] == 46 and line[length - 3] == 46)
        return last == 63 or last == 33 or last == 34 or (rules.apostrophe and last == 39)
    if not has_units or length < 3:
        return False
    begin = length - 1
    while begin > 0 and line[begin] & 0xC0 == 0x80:
        begin -= 1
    point = decode(line, begin)[0]
    for k in range(len(CHINESE_ENDS)):  # noqa: SIM110 - numba
        if CHINESE_ENDS[k] == point:
            return True
    return False


@bare_inner
def find_phrases(line: Bytes, length: Integer) -> Integer:
    """A bit for each phrase of PHRASES in the line, in any case, and the bit after them for a curly bracket."""
    seen = 0
    for at in range(length):
        byte = line[at]
        if byte == 123:
            seen |= 1 << len(PHRASES)
        lower = byte | 32
        # the phrases begin with l, j, t, p, c and u
        if not (lower == 106 or lower == 108 or lower == 112 or lower == 116 or lower == 117 or lower == 99):
            continue
        if at + 10 > length:
            continue
        for k in range(len(PHRASES)):
            begin, size = PHRASE_ENDS[k], PHRASE_ENDS[k + 1] - PHRASE_ENDS[k]
            if PHRASE_BYTES[begin] != lower or at + size > length or PHRASE_BYTES[begin + 1] != line[at + 1] | 32:
                continue
            same = 2
            while same < size and PHRASE_BYTES[begin + same] == lower_case(line[at + same]):
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
) -> tuple[Integer, Integer]:
    """Write the stripped line without citations to `line`. Returns its verdict and its length."""
    start, end = strip(data, start, end)
    pieces, longest, units = count_words(data, start, end, classes, rules.units)
    if longest > LONGEST_WORD and units == 0:
        return DROP, 0
    length = remove_citations(data, start, end, line)
    if rules.end_mark and not ends_properly(line, length, rules, units):
        return DROP, length
    if not rules.counts_citations and length < end - start:
        pieces, longest, units = count_words(line, 0, length, classes, rules.units)
    if pieces + units < rules.least_words:
        return DROP, length
    seen = find_phrases(line, length)
    if seen & 1:
        return LOREM_IPSUM, length
    if seen & 2:
        return DROP, length
    if seen >> len(PHRASES) & 1:
        return BRACKET, length
    return (DROP if seen else KEEP), length


@bare_inner
def count_sentences(line: Bytes, length: Integer, classes: Bytes) -> Integer:
    """The number of sentences of a line: marks that end one in any script (a full stop, ? and ! before white space or
    at the end), and text after the last mark."""
    sentences, at, open_text, ended = 0, 0, False, False
    while at < length:
        point, size = decode(line, at)
        at += size
        if classes[point] & SENTENCE_END:
            ended = ended or (open_text and (point >= 0x80 or at >= length or not is_word_byte(line[at])))
        elif ended and not (point == 34 or point == 39 or point == 41 or point == 0x201D or point == 0x300D):
            sentences, ended, open_text = sentences + 1, False, False
        if point > 32 and classes[point] & KIND not in (0, 1, 5):
            open_text = True
    return sentences + (ended or open_text)


@bare_inlined
def is_word_byte(byte: Integer) -> Integer:
    return 48 <= byte <= 57 or 65 <= byte <= 90 or 97 <= byte <= 122 or byte >= 0x80
