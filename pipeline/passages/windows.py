"""Exact repeats of text: pure functions over columns and records, which the steps of the finder `substrings` apply.

A window is the shortest text from a written unit on that weighs `min_tokens`. A window that occurs earlier in the
corpus is removed; so what is removed is the union of all repeats but the first, each at least that long, and every
removed character has a copy that is kept. A text that repeats itself without a break is left with one period.

    anchors   of a file range: which occur, and which occur twice           → ANCHOR records, by hash
    windows   around the anchors that occur twice anywhere                  → WINDOW records, by hash
    repeats   of a partition: windows with equal hashes, the first of each  → WINDOW_REPEAT records, by file range

Of the windows of a block of text that are equal, only the first is compared with those of other blocks, so a text
repeated a million times is no more than a record for each block in its partition.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels import substrings, written_units
from pipeline.kernels.substrings import WindowSizes
from pipeline.kernels.units import max_units
from pipeline.passages.batch import DocumentBatch, Hashes
from pipeline.passages.records import REMOVAL, RecordArray

# an anchor, the file range where it occurs, and whether it occurs twice in a block of it
ANCHOR = np.dtype([("hash", "<u8"), ("file_range", "<u4"), ("twice", "?")])
# two hashes of a window, its document, first byte and size in bytes, and how many windows of a block it stands for
WINDOW = np.dtype(
    [("a", "<u8"), ("b", "<u8"), ("document", "<u8"), ("start", "<u4"), ("size", "<u4"), ("copies", "<u4")]
)
# a window, the first one that is equal to it (itself, if none is before it), and how many are
WINDOW_REPEAT = np.dtype(
    [
        ("document", "<u8"), ("start", "<u4"), ("size", "<u4"),
        ("kept", "<u8"), ("kept_start", "<u4"), ("copies", "<u8"),
    ]
)  # fmt: skip

# what a character of Chinese is to a tokenizer; a word is twice as much: BPE with 32,000 pieces makes 0.9 and 1.5, with
# more pieces less (tests/benchmarks/bench_substrings.py). So 50 tokens are 72 characters or 36 words
TOKENS_PER_CHARACTER = 0.7


def sizes_of(min_tokens: int) -> WindowSizes:
    """The weights of a window of `min_tokens` tokens and of its grams, which weigh half as much."""
    window = max(2, -int(-min_tokens // TOKENS_PER_CHARACTER))
    return WindowSizes(window, -(-window // 2))


def anchors_of(batch: DocumentBatch, sizes: WindowSizes) -> Hashes:
    """The anchors of a batch, each once for a place where it is one."""
    out = np.empty(max_units(_size_bytes(batch)), np.uint64)
    tables, scratch = written_units.border_tables(), _scratch(batch, sizes)
    count = substrings.find_anchors(batch.data, batch.offsets, batch.skipped, tables, sizes, scratch, out)
    return out[:count].copy()


def _size_bytes(batch: DocumentBatch) -> int:
    return int(batch.offsets[-1] - batch.offsets[0])


def _scratch(batch: DocumentBatch, sizes: WindowSizes) -> substrings.WindowScratch:
    return substrings.scratch(int(np.diff(batch.offsets).max(initial=0)), sizes)


def make_anchors(hashes: Hashes, file_range: int) -> RecordArray:
    """The records of a block of text: each anchor once."""
    distinct, counts = np.unique(hashes, return_counts=True)
    anchors = np.empty(len(distinct), ANCHOR)
    anchors["hash"] = distinct
    anchors["file_range"] = file_range
    anchors["twice"] = counts > 1
    return anchors


def repeated_anchors(partition: RecordArray) -> RecordArray:
    """The records of a partition whose anchor occurs twice in the corpus, each once for a file range."""
    if not len(partition):
        return partition
    ordered = partition[np.argsort(partition["hash"], kind="stable")]
    is_first = np.append(True, ordered["hash"][1:] != ordered["hash"][:-1])
    group = np.cumsum(is_first) - 1
    occurrences = np.bincount(group, weights=1 + ordered["twice"])
    repeated = ordered[occurrences[group] > 1]
    repeated = repeated[np.lexsort((repeated["file_range"], repeated["hash"]))]
    distinct = np.ones(len(repeated), np.bool_)
    for name in ("hash", "file_range"):
        distinct[1:] &= repeated[name][1:] == repeated[name][:-1]
    distinct[1:] = ~distinct[1:]
    once: RecordArray = repeated[distinct]
    return once


def windows_of(batch: DocumentBatch, first_row: int, sizes: WindowSizes, table: Hashes) -> RecordArray:
    """The windows of a batch whose anchor is in the hash table, in the order of the text.

    `first_row`: the row number of the batch's first document.
    """
    most = max_units(_size_bytes(batch))
    a, b = (np.empty(most, np.uint64) for _ in range(2))
    document, begin, size = (np.empty(most, np.int64) for _ in range(3))
    out = substrings.Windows(a, b, document, begin, size)
    tables, scratch = written_units.border_tables(), _scratch(batch, sizes)
    count = substrings.find_windows(batch.data, batch.offsets, batch.skipped, tables, sizes, scratch, table, out)
    records = np.empty(count, WINDOW)
    records["a"], records["b"], records["size"] = a[:count], b[:count], size[:count]
    records["document"] = document[:count] + first_row
    records["start"] = begin[:count] - batch.offsets[document[:count]]
    records["copies"] = 1
    return records


def hash_table(values: Hashes) -> Hashes:
    """A hash table of distinct values, at most half full."""
    table = np.zeros(max(8, 1 << (2 * len(values) - 1).bit_length()), np.uint64)
    substrings.fill_table(values, table)
    return table


class BlockWindows(NamedTuple):
    """The windows of a block of text: the first of each, with its copies, and the others as repeats of the first."""

    first: RecordArray
    repeats: RecordArray


def split_block(windows: RecordArray) -> BlockWindows:
    """Separate the first of equal windows of a block, which is in the order of the text, from the others."""
    first, copies = _first_equal(windows)
    is_first = first == np.arange(len(windows))
    firsts = windows[is_first]
    firsts["copies"] = copies[is_first]
    return BlockWindows(firsts, _repeats(windows[~is_first], windows[first[~is_first]], copies[~is_first]))


def equal_windows(partition: RecordArray) -> RecordArray:
    """A repeat for each record of a partition that has an equal one, and for each that stands for several windows.

    The partition must be in the order of the corpus.
    """
    first, copies = _first_equal(partition)
    several = copies > 1
    return _repeats(partition[several], partition[first[several]], copies[several])


def _first_equal(windows: RecordArray) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """For each window the index of the first one that is equal to it, and how many are."""
    if not len(windows):
        return np.empty(0, np.int64), np.empty(0, np.uint64)
    a, b = np.ascontiguousarray(windows["a"]), np.ascontiguousarray(windows["b"])
    order = np.argsort(a)
    is_equal = a[order][1:] == a[order][:-1]
    if np.any(is_equal & (b[order][1:] != b[order][:-1])):  # two texts with one hash
        order = np.lexsort((b, a))
        is_equal = (a[order][1:] == a[order][:-1]) & (b[order][1:] == b[order][:-1])
    starts = np.flatnonzero(np.append(True, ~is_equal))
    sizes = np.diff(np.append(starts, len(order)))
    first, copies = np.empty(len(order), np.int64), np.empty(len(order), np.uint64)
    first[order] = np.repeat(np.minimum.reduceat(order, starts), sizes)
    copies[order] = np.repeat(np.add.reduceat(windows["copies"].astype(np.uint64)[order], starts), sizes)
    return first, copies


def _repeats(windows: RecordArray, firsts: RecordArray, copies: NDArray[np.uint64]) -> RecordArray:
    """Windows with the first window that is equal to each."""
    repeats = np.empty(len(windows), WINDOW_REPEAT)
    for name in ("document", "start", "size"):
        repeats[name] = windows[name]
    repeats["kept"], repeats["kept_start"] = firsts["document"], firsts["start"]
    repeats["copies"] = copies
    return repeats


def resolve(within: RecordArray, firsts: RecordArray) -> RecordArray:
    """The repeats of a block in the order of the text, each with the first window of the corpus equal to it.

    `within`: repeats of the first window of the block; `firsts`: what `equal_windows` found of those.
    """
    least = firsts["document"].min(initial=np.iinfo(np.uint64).max)
    within = within.copy()
    keys = _keys(firsts["document"] - least, firsts["start"])
    order = np.argsort(keys)
    at = order[np.searchsorted(keys, _keys(within["kept"] - least, within["kept_start"]), sorter=order)]
    for name in ("kept", "kept_start", "copies"):
        within[name] = firsts[name][at]
    is_itself = (firsts["document"] == firsts["kept"]) & (firsts["start"] == firsts["kept_start"])
    resolved = np.concatenate([within, firsts[~is_itself]])
    ordered: RecordArray = resolved[np.argsort(_keys(resolved["document"] - least, resolved["start"]))]
    return ordered


def _keys(documents: NDArray[np.uint64], starts: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Numbers in the order of places, for fewer than 2^32 documents."""
    return documents << np.uint64(32) | starts


def pieces(repeats: RecordArray) -> RecordArray:
    """The ranges of text that repeats cover, in the order of the text, without overlaps.

    A piece is as long as it has one copy: the kept text that begins with `kept_start` is equal to it. `copies` is the
    largest number of any window in it.
    """
    if not len(repeats):
        return repeats
    end = repeats["start"].astype(np.int64) + repeats["size"]
    shift = repeats["kept_start"].astype(np.int64) - repeats["start"]
    is_new = np.ones(len(repeats), np.bool_)
    for values in (repeats["document"], repeats["kept"], shift):
        is_new[1:] &= values[1:] == values[:-1]
    is_new[1:] = ~(is_new[1:] & (repeats["start"][1:] <= end[:-1]))
    firsts = np.flatnonzero(is_new)
    merged = repeats[firsts].copy()
    last = np.append(firsts[1:], len(repeats)) - 1
    # windows end in the order in which they begin, so a piece ends with its last window, and the next is cut there
    start = merged["start"].astype(np.int64)
    start[1:] = np.where(
        merged["document"][1:] == merged["document"][:-1], np.maximum(start[1:], end[last[:-1]]), start[1:]
    )
    merged["kept_start"] = start + shift[firsts]
    merged["start"], merged["size"] = start, end[last] - start
    merged["copies"] = np.maximum.reduceat(repeats["copies"], firsts)
    covering: RecordArray = merged[merged["size"] > 0]
    return covering


def as_removals(covering: RecordArray, kind: int) -> RecordArray:
    """Pieces as the records of a finder that the stage removes. `kind`: the index of the finder."""
    removals = np.empty(len(covering), REMOVAL)
    for name in ("document", "start", "kept", "kept_start", "copies"):
        removals[name] = covering[name]
    removals["end"] = covering["start"] + covering["size"]
    removals["kind"] = kind
    return removals
