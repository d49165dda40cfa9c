"""Passages by their keys: combined within a task, counted over the corpus, looked up where they are removed.

A task sends one record per key, however often the key occurs in what it read: a line in a million documents arrives as
a few hundred records, so that no partition gets hot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.passages.base import PassageKeys
from pipeline.passages.batch import Hashes

RecordArray = NDArray[np.void]
DocumentRows = NDArray[np.uint64]

# a key of a task: its first place (document and byte), and its copies, or the documents that have it
RECORD = np.dtype([("hash", "<u8"), ("check", "<u8"), ("document", "<u8"), ("start", "<u4"), ("copies", "<u4")])
# a key that repeats, for each range of files that has it: the copy that stays, and the copies in the corpus.
# `kind`: index of the finder, or the number of finders for the documents of a group
REPEAT = np.dtype(
    [("kind", "u1"), ("hash", "<u8"), ("check", "<u8"), ("kept", "<u8"), ("kept_start", "<u4"), ("copies", "<u8")]
)
# the ids of `document` are needed where the files of `file_range` are written
REQUEST = np.dtype([("document", "<u8"), ("file_range", "<u4")])
# bytes [start, end) of a document, the document and byte where the first copy stays, the copies in the corpus, and the
# index of the finder
REMOVAL = np.dtype(
    [
        ("document", "<u8"), ("start", "<u4"), ("end", "<u4"), ("kept", "<u8"), ("kept_start", "<u4"),
        ("copies", "<u8"), ("kind", "u1"),
    ]
)  # fmt: skip


class Occurrences(NamedTuple):
    """Passages of a task in the order of the corpus: their keys, and the document and byte where each begins."""

    hash: Hashes
    check: Hashes
    document: DocumentRows
    start: NDArray[np.uint32]

    @classmethod
    def of(cls, keys: PassageKeys, documents: DocumentRows) -> Occurrences:
        """`documents`: the row numbers of the batch."""
        return cls(keys.hash, keys.check, documents[keys.document], keys.start)


def combine(parts: Sequence[Occurrences], *, by_document: bool) -> RecordArray:
    """A record for each key, with its copies or, `by_document`, the documents that have it."""
    if not parts:
        return np.empty(0, RECORD)
    occurrences = Occurrences(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
    order = np.argsort(occurrences.hash, kind="stable")
    hashes, checks, documents, starts = (array[order] for array in occurrences)
    is_first = _changes(hashes) | _changes(checks)
    counted = (is_first | _changes(documents)) if by_document else np.ones(len(order), np.bool_)
    first = np.flatnonzero(is_first)
    records = np.empty(len(first), RECORD)
    records["hash"], records["check"] = hashes[first], checks[first]
    records["document"], records["start"] = documents[first], starts[first]
    records["copies"] = np.add.reduceat(counted, first, dtype=np.uint32) if len(first) else 0
    return records


@dataclass(frozen=True)
class RepeatedKeys:
    """RecordArray of a partition whose keys have enough copies, in the order of hash, check, document and start.

    `first[i]`: the record of the copy that stays in place of record i; `copies[i]`: those of its key in the corpus.
    """

    records: RecordArray
    first: NDArray[np.int64]
    copies: NDArray[np.uint64]

    @classmethod
    def of(cls, partition: RecordArray, min_copies: int) -> RepeatedKeys:
        """`min_copies`: how many copies a key needs."""
        shared = _shared(partition, min_copies)
        ordered = shared[np.lexsort((shared["start"], shared["document"], shared["check"], shared["hash"]))]
        starts = np.flatnonzero(_changes(ordered["hash"]) | _changes(ordered["check"]))
        lengths = np.diff(np.append(starts, len(ordered)))
        totals = np.add.reduceat(ordered["copies"], starts, dtype=np.uint64) if len(starts) else np.empty(0, np.uint64)
        keeps = np.repeat(totals >= min_copies, lengths)
        first = np.repeat(np.cumsum(np.where(totals >= min_copies, lengths, 0)) - lengths, lengths)[keeps]
        return cls(ordered[keeps], first, np.repeat(totals, lengths)[keeps])

    def by_range(self, kind: int, ranges: NDArray[np.int64]) -> tuple[RecordArray, NDArray[np.int64]]:
        """REPEAT records, one for each key and range of files that has it, and their ranges.

        `ranges[i]`: the range of record i.
        """
        rows = np.flatnonzero(_changes(self.first) | _changes(ranges))
        first = self.first[rows]
        repeats = np.empty(len(rows), REPEAT)
        repeats["kind"] = kind
        for name in ("hash", "check"):
            repeats[name] = self.records[name][rows]
        repeats["kept"], repeats["kept_start"] = self.records["document"][first], self.records["start"][first]
        repeats["copies"] = self.copies[rows]
        return repeats, ranges[rows]


def name_requests(kept: DocumentRows, ranges: NDArray[np.int64]) -> RecordArray:
    """Which ranges need the ids of which documents, each pair once, in the order of documents."""
    requests = np.empty(len(kept), REQUEST)
    requests["document"], requests["file_range"] = kept, ranges
    return np.unique(requests)


@dataclass(frozen=True)
class KeyTable:
    """The repeated keys of one kind in a range of files, in the order of hash and check."""

    repeats: RecordArray

    @classmethod
    def of(cls, repeats: RecordArray, kind: int) -> KeyTable:
        own = repeats[repeats["kind"] == kind]
        return cls(own[np.lexsort((own["check"], own["hash"]))])

    def rows(self, hashes: Hashes, checks: Hashes) -> NDArray[np.int64]:
        """The row of each key, −1 for one that does not repeat."""
        rows = np.full(len(hashes), -1)
        if not len(self.repeats) or not len(hashes):
            return rows
        table, table_checks = self.repeats["hash"].copy(), self.repeats["check"].copy()
        places = np.searchsorted(table, hashes)
        open_keys = np.arange(len(hashes))
        while len(open_keys):  # a second round only where two keys share 64 bits
            at = places[open_keys]
            inside = at < len(table)
            open_keys, at = open_keys[inside], at[inside]
            same = table[at] == hashes[open_keys]
            equal = same & (table_checks[at] == checks[open_keys])
            rows[open_keys[equal]] = at[equal]
            open_keys = open_keys[same & ~equal]
            places[open_keys] += 1
        return rows


def _shared(partition: RecordArray, min_copies: int) -> RecordArray:
    """The records whose hash occurs more than once or with enough copies; usually few."""
    order = np.argsort(partition["hash"])
    starts = _changes(partition["hash"][order])
    alone = starts & np.append(starts[1:], True)[: len(starts)]
    shared: RecordArray = partition[order[~alone | (partition["copies"][order] >= min_copies)]]
    return shared


def _changes(values: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Where a value differs from the one before it."""
    changes: NDArray[np.bool_] = np.append(True, values[1:] != values[:-1])[: len(values)]
    return changes
