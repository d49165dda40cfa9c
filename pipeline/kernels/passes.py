"""Kernels over all documents of a column: each document goes through its passes while it lies in the cache."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.kernels import lines, ngrams, units
from pipeline.kernels.compiler import inlined, kernel
from pipeline.kernels.minhash import Words, minhash, shingles
from pipeline.kernels.points import Whole
from pipeline.kernels.tables import Hashes, Slots
from pipeline.kernels.tables import room as slots_room
from pipeline.kernels.units import Counts
from pipeline.text.unicode import Bytes, Tables

LIST_SLOTS = 256  # of a word list's hash table: a power of two, well above its length


class Counted(NamedTuple):
    """A row a document of each kernel's counts; `words`: distinct function words of its language."""

    units: Counts
    lines: Counts
    repeats: Counts
    words: Counts

    @classmethod
    def of(cls, documents: int) -> Counted:
        unit, line, repeat = (np.zeros((documents, w), np.int64) for w in (units.WIDTH, lines.WIDTH, ngrams.WIDTH))
        return cls(unit, line, repeat, np.zeros(documents, np.int64))


class Room(NamedTuple):
    """Scratch for one document after the other."""

    units: units.Units
    lines: lines.Lines
    grams: ngrams.Grams
    slots: Slots
    seen: Bytes

    @classmethod
    def of(cls, largest_bytes: int) -> Room:
        """For documents up to `largest_bytes`."""
        most = units.most(largest_bytes)
        grams, slots, seen = ngrams.room(most), slots_room(most), np.empty(LIST_SLOTS, np.uint8)
        return cls(units.room(largest_bytes), lines.room(largest_bytes), grams, slots, seen)


@kernel
def measure_all(
    data: Bytes, offsets: Counts, tables: Tables, room: Room, lists: Hashes, which: Counts, out: Counted
) -> None:
    """Units, lines, repeats and function words of every document."""
    for d in range(len(offsets) - 1):
        start, end = offsets[d], offsets[d + 1]
        n = units.split(data, start, end, tables, room.units, out.units[d])
        lines.measure_lines(data, start, end, tables.classes, room.lines, room.slots, out.lines[d])
        ngrams.measure_repeats(room.units, n, room.grams, out.repeats[d])
        if which[d] >= 0:
            out.words[d] = distinct_of(room.units, n, lists[which[d]], room.seen)


@inlined
def distinct_of(found: units.Units, n: Whole, words: Hashes, seen: Bytes) -> Whole:
    """How many members of a word list (hashes at their slots, 0 empty) the units hold."""
    seen[:] = 0
    distinct = 0
    mask = np.uint64(LIST_SLOTS - 1)
    for i in range(n):
        slot = found.hash[i] & mask
        while words[slot] != 0 and words[slot] != found.hash[i]:
            slot = (slot + np.uint64(1)) & mask
        if words[slot] != 0 and not seen[slot]:
            seen[slot] = 1
            distinct += 1
    return distinct


@kernel
def sign_all(
    data: Bytes,
    offsets: Counts,
    tables: Tables,
    room: units.Units,
    hashes: Hashes,
    size: Whole,
    multipliers: Words,
    masks: Words,
    out: npt.NDArray[np.uint32],
) -> None:
    """The MinHash signature of every document."""
    counts = np.empty(units.WIDTH, np.int64)
    for d in range(len(offsets) - 1):
        n = units.split(data, offsets[d], offsets[d + 1], tables, room, counts)
        number = shingles(data, offsets[d], offsets[d + 1], tables.classes, room, n, size, hashes)
        minhash(hashes, number, multipliers, masks, out[d])


@kernel
def shingle_all(
    data: Bytes, offsets: Counts, tables: Tables, room: units.Units, size: Whole, out: Hashes, ends: Counts
) -> None:
    """The set of shingles of every document, sorted, end to end: ends[d + 1] is where document d's set stops."""
    counts = np.empty(units.WIDTH, np.int64)
    ends[0] = 0
    for d in range(len(offsets) - 1):
        n = units.split(data, offsets[d], offsets[d + 1], tables, room, counts)
        at = ends[d]
        number = shingles(data, offsets[d], offsets[d + 1], tables.classes, room, n, size, out[at:])
        out[at : at + number].sort()
        kept = at
        for i in range(at, at + number):
            if i == at or out[i] != out[kept - 1]:
                out[kept] = out[i]
                kept += 1
        ends[d + 1] = kept
