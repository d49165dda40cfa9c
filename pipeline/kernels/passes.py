"""Kernels over all documents of a column. All passes over a document run while it is in the processor's cache."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.kernels import lines, ngrams, units
from pipeline.kernels.code_points import Integer
from pipeline.kernels.compiler import kernel
from pipeline.kernels.hash_table import Hashes, Slots
from pipeline.kernels.hash_table import scratch as slots_scratch
from pipeline.kernels.minhash import UInt32s, hash_shingles, minhash
from pipeline.kernels.units import CountArray
from pipeline.text.unicode import Bytes, Tables


class DocumentCounts(NamedTuple):
    """The counts of each kernel, a row for each document."""

    units: CountArray
    lines: CountArray
    repeats: CountArray

    @classmethod
    def of(cls, documents: int) -> DocumentCounts:
        unit, line, repeat = (np.zeros((documents, w), np.int64) for w in (units.WIDTH, lines.WIDTH, ngrams.WIDTH))
        return cls(unit, line, repeat)


class DocumentScratch(NamedTuple):
    """Scratch space that is used for one document after another."""

    units: units.Units
    lines: lines.Lines
    grams: ngrams.Grams
    slots: Slots

    @classmethod
    def of(cls, largest_bytes: int) -> DocumentScratch:
        """Allocate it for documents of up to `largest_bytes`."""
        most = units.max_units(largest_bytes)
        grams, slots = ngrams.scratch(most), slots_scratch(most)
        return cls(units.scratch(largest_bytes), lines.scratch(largest_bytes), grams, slots)


@kernel
def measure_all(
    data: Bytes,
    offsets: CountArray,
    tables: Tables,
    scratch: DocumentScratch,
    lists: Hashes,
    list_indices: CountArray,
    out: DocumentCounts,
) -> None:
    """Count units, lines, repeats, and the function words of list list_indices[d], of every document d."""
    for d in range(len(offsets) - 1):
        start, end = offsets[d], offsets[d + 1]
        n = units.split(data, start, end, tables, scratch.units, out.units[d])
        lines.measure_lines(data, start, end, tables.classes, scratch.lines, scratch.slots, out.lines[d])
        ngrams.measure_repeats(scratch.units, n, lists[list_indices[d]], scratch.grams, out.repeats[d])


@kernel
def sign_all(
    data: Bytes,
    offsets: CountArray,
    tables: Tables,
    scratch: units.Units,
    hashes: Hashes,
    size: Integer,
    multipliers: UInt32s,
    masks: UInt32s,
    out: npt.NDArray[np.uint32],
) -> None:
    """Compute the MinHash signature of every document."""
    counts = np.empty(units.WIDTH, np.int64)
    for d in range(len(offsets) - 1):
        n = units.split(data, offsets[d], offsets[d + 1], tables, scratch, counts)
        number = hash_shingles(data, offsets[d], offsets[d + 1], tables.classes, scratch, n, size, hashes)
        minhash(hashes, number, multipliers, masks, out[d])


@kernel
def shingle_all(
    data: Bytes, offsets: CountArray, tables: Tables, scratch: units.Units, size: Integer, out: Hashes, ends: CountArray
) -> None:
    """Write the sorted set of shingles of every document, concatenated; that of document d ends at ends[d + 1]."""
    counts = np.empty(units.WIDTH, np.int64)
    ends[0] = 0
    for d in range(len(offsets) - 1):
        n = units.split(data, offsets[d], offsets[d + 1], tables, scratch, counts)
        at = ends[d]
        number = hash_shingles(data, offsets[d], offsets[d + 1], tables.classes, scratch, n, size, out[at:])
        out[at : at + number].sort()
        stop = at
        for i in range(at, at + number):
            if i == at or out[i] != out[stop - 1]:
                out[stop] = out[i]
                stop += 1
        ends[d + 1] = stop
