"""Windows of written units, hashed exactly, and the anchors by which equal windows find each other.

A window begins at each written unit and ends with the first that brings its weight to `window`; a gram likewise with
`gram`. What a window is, and which of its grams is its anchor (the one with the smallest hash, the first of equal ones:
winnowing, Schleimer, Wilkerson and Aiken 2003), follows from its text alone. So equal windows have equal anchors, and
only windows whose anchor occurs at another place too need to be compared. About one unit in ten is an anchor.

A window is identified by two independent 64-bit hashes of its bytes, white space within it included. Among 10^12
distinct windows (6 TB of text) the chance that any two share both is 10^-15.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.kernels import written_units
from pipeline.kernels.code_points import ORDER, Integer, mix
from pipeline.kernels.compiler import bare_inlined, bare_kernel
from pipeline.kernels.hash_table import Hashes
from pipeline.kernels.units import max_units
from pipeline.kernels.written_units import BorderTables, Longs, WrittenUnits
from pipeline.text.unicode import Bytes

# odd multipliers of the two polynomials; from the hexadecimal digits of pi
BASE_A, BASE_B = np.uint64(0x243F6A8885A308D3), np.uint64(0x13198A2E03707345)
SEED_A, SEED_B = np.uint64(0xA4093822299F31D0), np.uint64(0x082EFA98EC4E6C89)


class WindowSizes(NamedTuple):
    """Weights, in characters of scripts without spaces: of a window, and of the grams that may be its anchor."""

    window: int
    gram: int


class UnitHashes(NamedTuple):
    """Scratch space for a document, for each of two hashes: `own`, of a unit; `before`, of all units before it with the
    white space after each, as a polynomial; `powers` of the base."""

    own: Hashes
    before: Hashes
    powers: Hashes


class WindowScratch(NamedTuple):
    """Scratch space for a document. The gram that begins at unit i ends with unit gram_end[i] and has the hash gram[i];
    the window there ends with unit window_end[i], and its anchor is the gram that begins at unit anchor[i]."""

    units: WrittenUnits
    a: UnitHashes
    b: UnitHashes
    gram: Hashes
    gram_end: Longs
    window_end: Longs
    anchor: Longs


class Windows(NamedTuple):
    """Windows in the order of the text: two hashes, the document, the byte of the column where it begins, its bytes."""

    a: Hashes
    b: Hashes
    document: Longs
    begin: Longs
    size: Longs


def scratch(largest_bytes: int, sizes: WindowSizes) -> WindowScratch:
    """Allocate scratch space for documents of up to `largest_bytes`."""
    most = max_units(largest_bytes) + 1
    own_a, before_a, own_b, before_b, gram = (np.empty(most, np.uint64) for _ in range(5))
    gram_end, window_end, anchor = (np.empty(most, np.int64) for _ in range(3))
    return WindowScratch(
        written_units.scratch(largest_bytes),
        UnitHashes(own_a, before_a, _powers(BASE_A, sizes.window)),
        UnitHashes(own_b, before_b, _powers(BASE_B, sizes.window)),
        gram, gram_end, window_end, anchor,
    )  # fmt: skip


def _powers(base: np.uint64, most: int) -> Hashes:
    """The powers of a base up to `most`: a window has at most as many units as it weighs."""
    with np.errstate(over="ignore"):
        return np.append(np.uint64(1), np.cumprod(np.full(most, base)))


@bare_kernel
def find_anchors(
    data: Bytes,
    offsets: Longs,
    skipped: npt.NDArray[np.bool_],
    tables: BorderTables,
    sizes: WindowSizes,
    space: WindowScratch,
    out: Hashes,
) -> Integer:
    """Write the hashes of the anchors of all documents, each once for a place where it is one. Returns their number."""
    count = 0
    for d in range(len(offsets) - 1):
        if skipped[d]:
            continue
        _, windows = choose_anchors(data, offsets[d], offsets[d + 1], tables, sizes, space)
        for i in range(windows):
            if i == 0 or space.anchor[i] != space.anchor[i - 1]:
                out[count] = space.gram[space.anchor[i]]
                count += 1
    return count


@bare_kernel
def find_windows(
    data: Bytes,
    offsets: Longs,
    skipped: npt.NDArray[np.bool_],
    tables: BorderTables,
    sizes: WindowSizes,
    space: WindowScratch,
    repeated: Hashes,
    out: Windows,
) -> Integer:
    """Write the windows of all documents whose anchor is in the hash table `repeated`. Returns their number.

    What it shares with `find_anchors` is `choose_anchors`, 97 % of the time of either (46 and 48 ms for 5.2 MB of text
    without a repeated anchor); what each does with a window is its own.
    """
    count = 0
    for d in range(len(offsets) - 1):
        if skipped[d]:
            continue
        n, windows = choose_anchors(data, offsets[d], offsets[d + 1], tables, sizes, space)
        is_repeated = has_second = False
        for i in range(windows):
            if i == 0 or space.anchor[i] != space.anchor[i - 1]:
                is_repeated = contains(repeated, space.gram[space.anchor[i]])
            if not is_repeated:
                continue
            if not has_second:  # few documents need it
                hash_units(data, space.units, n, space.b, SEED_B)
                has_second = True
            last = space.window_end[i]
            out.a[count], out.b[count] = run_hash(space.a, i, last), run_hash(space.b, i, last)
            out.document[count], out.begin[count] = d, space.units.begin[i]
            out.size[count] = space.units.stop[last] - space.units.begin[i]
            count += 1
    return count


@bare_inlined
def choose_anchors(
    data: Bytes, start: Integer, end: Integer, tables: BorderTables, sizes: WindowSizes, space: WindowScratch
) -> tuple[Integer, Integer]:
    """Find the windows of the document in data[start:end] and their anchors. Returns the numbers of units and windows.

    `best`: the gram with the smallest hash among those from `i` to `last`.
    """
    n = written_units.split(data, start, end, tables, space.units)
    windows = find_ends(space.units.weight, n, sizes.window, space.window_end)
    if windows == 0:
        return n, 0
    hash_units(data, space.units, n, space.a, SEED_A)
    grams = find_ends(space.units.weight, n, sizes.gram, space.gram_end)
    for i in range(grams):
        value = run_hash(space.a, i, space.gram_end[i])
        space.gram[i] = value if value != 0 else np.uint64(1)  # 0 is an empty slot of a hash table
    best, last = -1, -1
    for i in range(windows):
        if best < i:
            best = last = i
        while last + 1 < grams and space.gram_end[last + 1] <= space.window_end[i]:
            last += 1
            if space.gram[last] < space.gram[best]:
                best = last
        space.anchor[i] = best
    return n, windows


@bare_inlined
def find_ends(weights: Longs, n: Integer, least: Integer, ends: Longs) -> Integer:
    """Set ends[i] to the last unit of the shortest run from unit i on that weighs `least`. Returns their number."""
    total, last = 0, -1
    for i in range(n):
        while total < least:
            last += 1
            if last == n:
                return i
            total += weights[last]
        ends[i] = last
        total -= weights[i]
    return n


@bare_inlined
def hash_units(data: Bytes, units: WrittenUnits, n: Integer, out: UnitHashes, seed: np.uint64) -> None:
    """Fill `out` for the n units of a document."""
    before = np.uint64(0)
    for i in range(n):
        out.own[i] = hash_text(data, units.begin[i], units.stop[i], seed)
        out.before[i] = before
        if i + 1 < n:
            space = np.uint64(data[units.stop[i]])
            if units.begin[i + 1] != units.stop[i] + 1:
                space = hash_text(data, units.stop[i], units.begin[i + 1], seed)
            before = before * out.powers[1] + out.own[i] * ORDER + space


@bare_inlined
def hash_text(data: Bytes, start: Integer, stop: Integer, seed: np.uint64) -> np.uint64:
    """Hash data[start:stop], eight bytes at a time. The last word holds up to seven bytes and a 1 above them, so no two
    texts have the same words."""
    value, at = seed, start
    while at + 8 <= stop:
        value = mix(value ^ eight_bytes(data, at)) * ORDER
        at += 8
    size = np.uint64(8 * (stop - at))
    word = np.uint64(0)
    if at + 8 <= len(data):
        word = eight_bytes(data, at) & ((np.uint64(1) << size) - np.uint64(1))
    else:
        for k in range(stop - at):
            word |= np.uint64(data[at + k]) << np.uint64(8 * k)
    return mix(value ^ (word | np.uint64(1) << size))


@bare_inlined
def eight_bytes(data: Bytes, at: Integer) -> np.uint64:
    """data[at:at + 8] as a number; the compiler combines the eight loads."""
    word = np.uint64(0)
    for k in range(8):
        word |= np.uint64(data[at + k]) << np.uint64(8 * k)
    return word


@bare_inlined
def run_hash(hashes: UnitHashes, first: Integer, last: Integer) -> np.uint64:
    """The hash of the text from unit `first` to the end of unit `last`."""
    inside = hashes.before[last] - hashes.before[first] * hashes.powers[last - first]
    return mix(inside * hashes.powers[1] + hashes.own[last])


@bare_kernel
def fill_table(values: Hashes, table: Hashes) -> None:
    """Insert values into a hash table whose size is a power of two; 0 is an empty slot, and never a value."""
    mask = np.uint64(len(table) - 1)
    for value in values:
        slot = value & mask
        while table[slot] != 0 and table[slot] != value:
            slot = (slot + np.uint64(1)) & mask
        table[slot] = value


@bare_inlined
def contains(table: Hashes, value: np.uint64) -> bool:
    """Whether a hash table holds a value."""
    mask = np.uint64(len(table) - 1)
    slot = value & mask
    while table[slot] != 0:
        if table[slot] == value:
            return True
        slot = (slot + np.uint64(1)) & mask
    return False
