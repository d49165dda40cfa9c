"""Documents that share a hash: from the records of a partition to equal documents and to buckets of possible pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.dedupe.base import Numbers, Offsets

# a hash and the document it is of. `check`: the other half of the 128 bits of a text; of a band, the first half
RECORD = np.dtype([("hash", "<u8"), ("check", "<u8"), ("document", "<u8")])
Records = NDArray[np.void]


class Groups(NamedTuple):
    """Documents grouped: group g is members[offsets[g]:offsets[g + 1]]."""

    members: Numbers
    offsets: Offsets


def records(hashes: Numbers, checks: Numbers, documents: Numbers) -> Records:
    """One record a document; a hash of 0 makes none."""
    present = hashes != 0
    rows = np.empty(int(present.sum()), RECORD)
    rows["hash"], rows["check"], rows["document"] = hashes[present], checks[present], documents[present]
    return rows


def equal(partition: Records) -> tuple[Numbers, Numbers]:
    """Pairs (document, the first document with the same 128 bits) for every document that is not the first."""
    ordered = _shared(partition)
    first = _starts(ordered["hash"]) | _starts(ordered["check"])
    leader = ordered["document"][np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))]
    return ordered["document"][~first], leader[~first]


def buckets(partition: Records) -> Groups:
    """Groups of two documents or more that share a band's hash; of equal documents the first stands for all.

    So a hot key (a notice on ten thousand pages, all equal) is one member. Buckets with the same members count once.
    """
    ordered = _shared(partition)
    ordered = ordered[_starts(ordered["hash"]) | _starts(ordered["check"])]
    ordered = ordered[np.lexsort((ordered["document"], ordered["hash"]))]
    starts = np.flatnonzero(_starts(ordered["hash"]))
    sizes = np.diff(np.append(starts, len(ordered)))
    members = ordered["document"][np.repeat(sizes > 1, sizes)]
    return _distinct(Groups(members, np.append(0, np.cumsum(sizes[sizes > 1]))))


def _shared(partition: Records) -> Records:
    """The records whose hash another has too, in order of hash, check and document: a small part, as a rule."""
    order = np.argsort(partition["hash"])
    hashes = partition["hash"][order]
    alone = _starts(hashes) & np.append(_starts(hashes)[1:], True)
    several = partition[order[~alone]]
    ordered: Records = several[np.lexsort((several["document"], several["check"], several["hash"]))]
    return ordered


def _starts(values: Numbers) -> NDArray[np.bool_]:
    """Where a value differs from the one before."""
    return np.append(True, values[1:] != values[:-1])[: len(values)]


def _distinct(groups: Groups) -> Groups:
    """Each list of members once: near copies meet in many bands and need to be compared in one."""
    sizes, starts = np.diff(groups.offsets), groups.offsets[:-1]
    if not len(sizes):
        return groups
    with np.errstate(over="ignore"):
        spread = (groups.members + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        marks = np.add.reduceat((spread ^ (spread >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9), starts)
    order = np.lexsort((sizes, groups.members[starts], marks))
    once = _starts(marks[order]) | _starts(groups.members[starts][order]) | _starts(sizes[order].astype(np.uint64))
    keep = np.zeros(len(sizes), np.bool_)
    keep[order[once]] = True
    return Groups(groups.members[np.repeat(keep, sizes)], np.append(0, np.cumsum(sizes[keep])))
