"""Parts of a piece of text that spaCy's rules cut off: prefixes, suffixes, infixes, and addresses that stay whole.

Every function looks at points[low:high], the code points of a piece between white space; flags are those of
`pipeline.text.english_tokens`. Each costs a constant time, or time linear in what it consumes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.kernels.code_points import Integer
from pipeline.kernels.compiler import bare_inlined, bare_inner
from pipeline.kernels.hash_table import Hashes, Ints
from pipeline.text.english_tokens import (
    ALPHA,
    BEFORE_STOP,
    CAPITAL,
    CURRENCY,
    ICON,
    LOWER,
    MIXER,
    MOST_POINTS,
    PREFIX,
    PRIME,
    QUOTE,
    SLOT_BITS,
    SLOTS,
    SUFFIX,
    Flags,
    TokenTables,
)

FACTOR = np.uint64(PRIME)
MASK = np.uint64(SLOTS - 1)
MIX, SHIFT = np.uint64(MIXER), np.uint64(64 - SLOT_BITS)
DOT, DASH, ELLIPSIS, PLUS, COLON, SLASH = 46, 45, 0x2026, 43, 58, 47
MOST_UNIT_POINTS = 4


@bare_inlined
def is_digit(point: Integer) -> Integer:
    """Whether a code point is an ASCII digit."""
    return 48 <= point <= 57


class Piece(NamedTuple):
    """Scratch space for a piece. `points`: its code points; `hash[k]`: hash of the first k, as in
    `english_tokens.token_hash`; `suffixes`: where suffixes begin."""

    points: Ints
    hash: Hashes
    suffixes: Ints


@bare_inlined
def hash_points(piece: Piece, low: Integer, high: Integer, tables: TokenTables) -> np.uint64:
    """The hash of at most MOST_POINTS code points of the piece."""
    value: np.uint64 = piece.hash[high] - piece.hash[low] * tables.powers[high - low]
    return value


@bare_inlined
def find_case(value: np.uint64, tables: TokenTables) -> Integer:
    """The lengths of the tokens of the special case with this hash, 0 if there is none."""
    slot = value * MIX >> SHIFT
    if tables.first[slot] == 0:
        return np.int64(0)
    while tables.keys[slot] != 0 and tables.keys[slot] != value:
        slot = (slot + np.uint64(1)) & MASK
    return tables.splits[slot] if tables.keys[slot] != 0 else np.int64(0)


@bare_inlined
def special_case(piece: Piece, low: Integer, high: Integer, tables: TokenTables) -> Integer:
    """The lengths of the tokens of points[low:high] if it is a special case, else 0."""
    if high - low > MOST_POINTS or high <= low:
        return np.int64(0)
    return find_case(hash_points(piece, low, high, tables), tables)


@bare_inner
def prefix_length(points: Ints, low: Integer, high: Integer, flags: Flags) -> Integer:
    """The number of code points to cut off the beginning."""
    first = points[low]
    if flags[first] & PREFIX:
        return 1
    following = points[low + 1] if low + 1 < high else 0
    if first == DOT and following == DOT:
        stop = low
        while stop < high and points[stop] == DOT:
            stop += 1
        return stop - low
    if first == PLUS:
        return 0 if is_digit(following) else 1
    if first == 85 and following == 83 and low + 2 < high and points[low + 2] == 36:  # US$
        return 3
    return 2 if (first == 67 or first == 65) and following == 36 else 0  # C$, A$


@bare_inner
def suffix_length(piece: Piece, low: Integer, high: Integer, tables: TokenTables) -> Integer:
    """The number of code points to cut off the end."""
    points = piece.points
    if high <= low:
        return 0
    last = points[high - 1]
    before = points[high - 2] if high - 2 >= low else 0
    flags = tables.flags
    if last == DOT:
        if before == DOT:
            start = high
            while start > low and points[start - 1] == DOT:
                start -= 1
            return high - start
        if flags[before] & BEFORE_STOP and before:
            return 1
        if high - 3 >= low and flags[before] & CAPITAL and flags[points[high - 3]] & CAPITAL:
            return 1
        return 1 if high - 3 >= low and points[high - 3] == 0xB0 and before in (70, 67, 75) else 0
    if last == ELLIPSIS and before == ELLIPSIS:
        return 2
    if (last == 115 or last == 83) and (before == 39 or before == 0x2019):  # 's
        return 2
    if flags[last] & SUFFIX:
        return 1
    if is_digit(before) and (last == PLUS or flags[last] & CURRENCY):
        return 1
    if is_digit(last):
        return 0
    start = high
    while start > low and high - start < MOST_UNIT_POINTS and not is_digit(points[start - 1]):
        start -= 1
    if start in (low, high) or not is_digit(points[start - 1]):
        return 0
    value = hash_points(piece, start, high, tables)
    for k in range(len(tables.units)):
        if tables.units[k] == value:
            return high - start
    return 0


@bare_inner
def infix_length(points: Ints, low: Integer, at: Integer, high: Integer, flags: Flags) -> Integer:
    """The number of code points of an infix at `at`, 0 if there is none."""
    point = points[at]
    if point == ELLIPSIS or flags[point] & ICON:
        return 1
    before = flags[points[at - 1]] if at > low else np.uint16(0)
    digit_before = at > low and is_digit(points[at - 1])
    after_point = points[at + 1] if at + 1 < high else 0
    after = flags[after_point] if after_point else np.uint16(0)
    if point == DOT:
        if after_point == DOT:
            stop = at
            while stop < high and points[stop] == DOT:
                stop += 1
            return stop - at
        return 1 if before & (LOWER | QUOTE) and after & (CAPITAL | QUOTE) else 0
    if digit_before and (is_digit(after_point) or after_point == DASH) and point in (PLUS, DASH, 42, 94):
        return 1
    if point == 44:
        return 1 if before & ALPHA and after & ALPHA else 0
    word_before = before & ALPHA > 0 or digit_before
    if not word_before:
        return 0
    if point in (COLON, SLASH) or 60 <= point <= 62:  # : < = > /
        return 1 if after & ALPHA else 0
    if point == DASH or point == 0x2013 or point == 0x2014 or point == 126:
        stop = at + 1
        most = 3 if point == DASH else (2 if point == 0x2014 else 1)
        while stop < high and stop - at < most and points[stop] == point:
            stop += 1
        return stop - at if stop < high and flags[points[stop]] & ALPHA else 0
    return 0


@bare_inner
def is_address(points: Ints, low: Integer, high: Integer, flags: Flags) -> Integer:
    """Whether the piece is a URL, a host name or an e-mail address, which is one token; a dot is required."""
    dot = low
    while dot < high and points[dot] != DOT:
        dot += 1
    if dot == high:
        return False
    start = low
    for at in range(low + 2, high - 2):
        if points[at] == COLON and points[at + 1] == SLASH and points[at + 2] == SLASH:
            start = at + 3
            break
    if start > low and not is_scheme(points, low, start - 3, flags):
        start = low
    if is_host(points, start, high, flags) or (start > low and is_host(points, low, high, flags)):
        return True
    for at in range(low + 1, high):  # noqa: SIM110 - numba
        if points[at] == 64 and is_host(points, at + 1, high, flags):
            return True
    return False


@bare_inner
def is_scheme(points: Ints, low: Integer, high: Integer, flags: Flags) -> Integer:
    for at in range(low, high):
        point = points[at]
        if not (flags[point] & ALPHA or is_digit(point) or point in (DOT, DASH, PLUS, 95)):
            return False
    return high - low >= 2


@bare_inner
def is_host(points: Ints, low: Integer, high: Integer, flags: Flags) -> Integer:
    """Whether points[low:high] is a host name with labels, a last label in lower case, a port and a path."""
    stop, last_dot = low, low - 1
    while stop < high:
        point = points[stop]
        if point == DOT:
            if stop == last_dot + 1 or stop - last_dot > 65:
                return False
            if not (is_host_letter(points[stop - 1]) and is_host_letter(points[last_dot + 1])):
                return False
            last_dot = stop
        elif not (is_host_letter(point) or point == DASH or point == 95):
            break
        stop += 1
    if last_dot < low or not 2 <= stop - last_dot - 1 <= 63:
        return False
    for at in range(last_dot + 1, stop):
        if not flags[points[at]] & LOWER:
            return False
    if stop < high and points[stop] == COLON:
        digits = stop + 1
        while digits < high and is_digit(points[digits]):
            digits += 1
        if not 2 <= digits - stop - 1 <= 5:
            return False
        stop = digits
    return stop == high or points[stop] in (SLASH, 63, 35)


@bare_inlined
def is_host_letter(point: Integer) -> Integer:
    return is_digit(point) or 65 <= point <= 90 or 97 <= point <= 122 or 0xA1 <= point <= 0xFFFF
