"""Finds the places of a text column where personal data may stand, so that regular expressions read little else.

A gate is a byte range of a document and the number of its group: runs of digits with separators between them, groups
of hexadecimal digits with colons, the sign @, and fixed words. Digits and separators may be full-width. 0.3 to 0.9 GB
of text per CPU-second (tests/benchmarks/bench_pii.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.kernels.code_points import Integer
from pipeline.kernels.compiler import inlined, inner_kernel, kernel
from pipeline.kernels.units import CountArray
from pipeline.text.unicode import Bytes

# groups; those of fixed words follow
NUMBER, SHORT_NUMBER, AT_SIGN, COLONS = 0, 1, 2, 3
FIRST_WORD_GROUP = 4

# actions of a byte
SKIP, DIGIT_BYTE, COLON, WIDE, AT = 0, 1, 2, 4, 8
WORD_BYTE = 16  # trigger of a fixed word; may stand beside the others
SEPARATOR = 32
HEX = 64

MOST_SEPARATORS = 3  # in a row, within a number
NUMBER_DIGITS = 9
SHORT_DIGITS = 7
ADDRESS_DOTS = 3


class FixedWords(NamedTuple):
    """Words to find: those of trigger byte b are words heads[b] to heads[b + 1].

    Word k is data[starts[k]:starts[k + 1]]; its byte number triggers[k] is the trigger.
    """

    actions: Bytes
    data: Bytes
    starts: CountArray
    triggers: CountArray
    groups: CountArray
    heads: CountArray


class Gates(NamedTuple):
    """The gates of a column, in the order of the text: document, first and last byte (exclusive) and group."""

    document: CountArray
    begin: CountArray
    end: CountArray
    group: CountArray


def fixed_words(words: Sequence[tuple[bytes, int, int]]) -> FixedWords:
    """The tables of (word, position of its trigger byte, group)."""
    actions = np.zeros(256, np.uint8)
    for byte in b"0123456789":
        actions[byte] |= DIGIT_BYTE
    for byte in b"0123456789abcdefABCDEF":
        actions[byte] |= HEX
    for byte in b" -.()/\t":
        actions[byte] |= SEPARATOR
    actions[ord(":")] |= COLON
    actions[ord("@")] |= AT
    actions[0xEF] |= WIDE  # full-width forms
    ordered = sorted(words, key=lambda entry: (entry[0][entry[1]], entry[0]))
    triggers = [word[trigger] for word, trigger, _ in ordered]
    for byte in triggers:
        actions[byte] |= WORD_BYTE
    return FixedWords(
        actions,
        np.frombuffer(b"".join(word for word, _, _ in ordered), np.uint8).copy(),
        np.cumsum([0, *(len(word) for word, _, _ in ordered)]),
        np.array([trigger for _, trigger, _ in ordered], np.int64),
        np.array([group for _, _, group in ordered], np.int64),
        np.searchsorted(np.array(triggers), np.arange(257)),
    )


def find_gates(data: Bytes, offsets: CountArray, words: FixedWords) -> Gates:
    """The gates of every document."""
    # sized for the worst case: pages that are never written take no memory
    most = int(offsets[-1] - offsets[0]) + 1
    out = Gates(*(np.empty(most, np.int64) for _ in range(4)))
    number = fill_gates(data, offsets, words, out)
    return Gates(*(array[:number].copy() for array in out))


@kernel
def fill_gates(data: Bytes, offsets: CountArray, words: FixedWords, out: Gates) -> Integer:
    """Fill `out`. Returns the number of gates. `word_end`: the end of the last group of digits and colons."""
    actions, n = words.actions, 0
    for d in range(len(offsets) - 1):
        start, end = offsets[d], offsets[d + 1]
        at, colons_end = start, start
        while at < end:
            action = actions[data[at]] & ~np.uint8(SEPARATOR | HEX)
            if action == 0:
                at += 1
                continue
            if action & WORD_BYTE:
                n = match_words(data, start, end, at, d, words, out, n)
            if action & DIGIT_BYTE or (action & WIDE and wide_digit(data, at, end)):
                stop, digits, dots = number_run(data, at, end, actions)
                if digits >= SHORT_DIGITS or dots >= ADDRESS_DOTS:
                    group = NUMBER if digits >= NUMBER_DIGITS or dots >= ADDRESS_DOTS else SHORT_NUMBER
                    n = append(out, n, d, at, stop, group)
                at = stop
                continue
            if action & AT or (action & WIDE and at + 2 < end and data[at + 1] == 0xBC and data[at + 2] == 0xA0):
                n = append(out, n, d, at, at + 1, AT_SIGN)
            elif action & COLON and at >= colons_end:
                first, colons_end, colons = colons_run(data, start, end, at, actions)
                if colons >= 2:
                    n = append(out, n, d, first, colons_end, COLONS)
            at += 1
    return n


@inlined
def append(out: Gates, n: Integer, document: Integer, begin: Integer, end: Integer, group: Integer) -> Integer:
    """Append gate n. Returns n + 1."""
    out.document[n], out.begin[n], out.end[n], out.group[n] = document, begin, end, group
    return n + 1


@inlined
def wide_digit(data: Bytes, at: Integer, end: Integer) -> Integer:
    """Whether a full-width digit stands at byte `at`."""
    return at + 2 < end and data[at] == 0xEF and data[at + 1] == 0xBC and 0x90 <= data[at + 2] <= 0x99


@inlined
def separator_bytes(data: Bytes, at: Integer, end: Integer, actions: Bytes) -> Integer:
    """The length of the separator at byte `at`, 0 for none: ASCII, no-break and wide spaces, dashes, wide signs."""
    byte = data[at]
    if byte < 0x80:
        return 1 if actions[byte] & SEPARATOR else 0
    if byte == 0xC2 and at + 1 < end and data[at + 1] == 0xA0:
        return 2
    if at + 2 >= end:
        return 0
    second, third = data[at + 1], data[at + 2]
    if byte == 0xE2:
        return 3 if (second == 0x80 and third <= 0xAF) or (second == 0x88 and third == 0x92) else 0
    if byte == 0xE3:
        return 3 if second == 0x80 and third == 0x80 else 0
    return 3 if byte == 0xEF and second == 0xBC and 0x88 <= third <= 0x8F else 0


@inlined
def number_run(data: Bytes, at: Integer, end: Integer, actions: Bytes) -> tuple[Integer, Integer, Integer]:
    """From a digit on: the end of its last digit, the number of digits, and of single dots between digits."""
    digits = dots = gap = 0
    stop = at
    while at < end:
        if data[at] - np.uint8(48) < 10:
            size, is_digit = 1, True
        elif wide_digit(data, at, end):
            size, is_digit = 3, True
        else:
            size, is_digit = separator_bytes(data, at, end, actions), False
        if size == 0:
            break
        if is_digit:
            dots += gap == 1 and data[at - 1] == 46
            digits, gap, stop = digits + 1, 0, at + size
        else:
            gap += 1
            if gap > MOST_SEPARATORS:
                break
        at += size
    return stop, digits, dots


@inlined
def colons_run(
    data: Bytes, start: Integer, end: Integer, at: Integer, actions: Bytes
) -> tuple[Integer, Integer, Integer]:
    """The run of hexadecimal digits and colons around a colon: its first byte, its end, its number of colons."""
    first, stop, colons = at, at, 0
    while first > start and (actions[data[first - 1]] & HEX or data[first - 1] == 58):
        first -= 1
    while stop < end and (actions[data[stop]] & HEX or data[stop] == 58):
        colons += data[stop] == 58
        stop += 1
    return first, stop, colons


@inner_kernel
def match_words(
    data: Bytes, start: Integer, end: Integer, at: Integer, document: Integer, words: FixedWords, out: Gates, n: Integer
) -> Integer:
    """Append a gate for each fixed word around the trigger at byte `at`. Returns the number of gates."""
    byte = data[at]
    for k in range(words.heads[byte], words.heads[byte + 1]):
        begin = at - words.triggers[k]
        size = words.starts[k + 1] - words.starts[k]
        if begin < start or begin + size > end:
            continue
        same = True
        for i in range(size):
            if data[begin + i] != words.data[words.starts[k] + i]:
                same = False
                break
        if same:
            n = append(out, n, document, begin, begin + size, words.groups[k])
    return n
