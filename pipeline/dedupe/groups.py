"""Documents that share a hash: equal documents, and buckets of documents to compare, from one partition of records."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.dedupe.base import Hashes, Indices, RowNumbers

# `check`: for a text the second half of its 128-bit key, for a band the first half of the key of its document
RECORD = np.dtype([("hash", "<u8"), ("check", "<u8"), ("document", "<u8")])
Records = NDArray[np.void]


class Groups(NamedTuple):
    """Groups of documents: group g is members[offsets[g]:offsets[g + 1]]."""

    members: RowNumbers
    offsets: Indices


def make_records(hashes: Hashes, checks: Hashes, documents: RowNumbers) -> Records:
    """One record per document; a hash of 0 makes no record."""
    present = hashes != 0
    rows = np.empty(int(present.sum()), RECORD)
    rows["hash"] = hashes[present]
    rows["check"] = checks[present]
    rows["document"] = documents[present]
    return rows


def equal_documents(partition: Records) -> tuple[RowNumbers, RowNumbers]:
    """(document, the first document with the same 128 bits) for every document that is not itself the first."""
    ordered = _shared(partition)
    first = _starts(ordered["hash"]) | _starts(ordered["check"])
    leader = ordered["document"][np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))]
    return ordered["document"][~first], leader[~first]


def find_buckets(partition: Records) -> Groups:
    """Groups of two or more documents that share a band hash; the first of several equal documents represents them.

    So a hot key (the same notice on ten thousand pages) is one member. Buckets with the same members are returned once.
    """
    ordered = _shared(partition)
    ordered = ordered[_starts(ordered["hash"]) | _starts(ordered["check"])]
    ordered = ordered[np.lexsort((ordered["document"], ordered["hash"]))]
    starts = np.flatnonzero(_starts(ordered["hash"]))
    sizes = np.diff(np.append(starts, len(ordered)))
    members = ordered["document"][np.repeat(sizes > 1, sizes)]
    return _distinct(Groups(members, np.append(0, np.cumsum(sizes[sizes > 1]))))


def _shared(partition: Records) -> Records:
    """The records whose hash occurs more than once, ordered by hash, check and document; usually few."""
    order = np.argsort(partition["hash"])
    hashes = partition["hash"][order]
    alone = _starts(hashes) & np.append(_starts(hashes)[1:], True)
    several = partition[order[~alone]]
    ordered: Records = several[np.lexsort((several["document"], several["check"], several["hash"]))]
    return ordered


def _starts(values: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Where a value differs from the one before it."""
    return np.append(True, values[1:] != values[:-1])[: len(values)]


def _distinct(groups: Groups) -> Groups:
    """Each list of members once: near copies share many bands and need to be compared in one."""
    sizes, starts = np.diff(groups.offsets), groups.offsets[:-1]
    if not len(sizes):
        return groups
    with np.errstate(over="ignore"):
        spread = (groups.members + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        member_hashes = np.add.reduceat((spread ^ (spread >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9), starts)
    order = np.lexsort((sizes, groups.members[starts], member_hashes))
    is_first = (
        _starts(member_hashes[order]) | _starts(groups.members[starts][order]) | _starts(sizes[order].astype(np.uint64))
    )
    keep = np.zeros(len(sizes), np.bool_)
    keep[order[is_first]] = True
    return Groups(groups.members[np.repeat(keep, sizes)], np.append(0, np.cumsum(sizes[keep])))
