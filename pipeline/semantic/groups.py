"""A cluster of any size → groups that are small enough to compare every pair of, one of them in memory at a time.

A cluster above MOST_COMPARED is divided by k-means of its own, and its parts again; one that does not fit in memory is
divided file by file on the disk. Vectors that k-means cannot tell apart (equal ones) are cut into groups in their
order: then one document of each group stays, not one of all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.semantic.kmeans import assign, find_centroids
from pipeline.semantic.records import Members, sample_order

MOST_COMPARED = 8192  # documents of a group: at most 34 million pairs
MEMORY_BYTES = 64 << 20  # of a cluster, or a part of one, that is held whole
SAMPLE_OF_CENTROID = 64  # vectors of the sample for each centroid
MOST_IN_ONE = 0.95  # of the documents of a division: more in one part, and it would have to be repeated too often
MOST_PARTS = 256  # of one division: files that are open at a time
Source = Callable[[], Iterable[Members]]
"""Gives the members of a cluster, in the same order and pieces each time."""


class Divider:
    """Divides clusters into groups. `size`: of a group, about; `folder`: where parts are while they wait."""

    def __init__(self, size: int, seed: int, folder: Path, *, memory_bytes: int = MEMORY_BYTES) -> None:
        self.size, self.seed, self.folder, self.memory_bytes = size, seed, folder, memory_bytes

    def groups(self, source: Source, count: int) -> Iterator[Members]:
        """The groups of a cluster with `count` members."""
        first = next(iter(source()), None)
        if first is None:
            return
        if count * first.itemsize <= self.memory_bytes:
            yield from self._divide(np.concatenate(list(source())))
            return
        parts = self._parts(count)
        sample = self._sample(source, count, SAMPLE_OF_CENTROID * parts)
        centroids = find_centroids(sample["vector"], parts)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="part-") as name:
            counts = _write_parts(source, centroids, Path(name))
            if counts.max() > MOST_IN_ONE * count:  # k-means does not tell them apart
                yield from _cut(source)
                return
            for part, members in enumerate(counts.tolist()):
                if members:
                    yield from self.groups(_file_source(_part(Path(name), part), first.dtype), members)

    def _divide(self, members: Members) -> Iterator[Members]:
        """The groups of members that are in memory."""
        if len(members) <= MOST_COMPARED:
            yield members
            return
        parts = self._parts(len(members))
        order = np.argsort(sample_order(members["document"], self.seed), kind="stable")
        sample = members["vector"][order[: SAMPLE_OF_CENTROID * parts]]
        labels, _ = assign(members["vector"], find_centroids(sample, parts))
        sizes = np.bincount(labels, minlength=1)
        if sizes.max() > MOST_IN_ONE * len(members):
            yield from _cut(lambda: [members])
            return
        for label in np.flatnonzero(sizes).tolist():
            yield from self._divide(members[labels == label])

    def _parts(self, count: int) -> int:
        return min(MOST_PARTS, max(2, -(-count // self.size)))

    def _sample(self, source: Source, count: int, most: int) -> Members:
        """About `most` members, in an order of their own."""
        share = np.uint64(min(most / count, 1.0) * (2**64 - 2**12))
        pieces = [piece[sample_order(piece["document"], self.seed) <= share] for piece in source()]
        sample = np.concatenate(pieces)
        order: NDArray[np.int64] = np.argsort(sample_order(sample["document"], self.seed), kind="stable")
        return sample[order]


def _write_parts(source: Source, centroids: NDArray[np.int16], folder: Path) -> NDArray[np.int64]:
    """Write each member to the file of its part. Returns their numbers."""
    counts = np.zeros(len(centroids), np.int64)
    with ExitStack() as stack:
        streams = [stack.enter_context(_part(folder, part).open("wb")) for part in range(len(centroids))]
        for piece in source():
            labels, _ = assign(piece["vector"], centroids)
            for label in np.unique(labels).tolist():
                streams[label].write(piece[labels == label].tobytes())
            counts += np.bincount(labels, minlength=len(centroids))
    return counts


def _part(folder: Path, part: int) -> Path:
    return folder / f"{part:04d}.bin"


def _file_source(path: Path, dtype: np.dtype[np.void]) -> Source:
    def read() -> Iterator[Members]:
        with path.open("rb") as stream:
            while len(piece := np.fromfile(stream, dtype, MOST_COMPARED)):
                yield piece

    return read


def _cut(source: Source) -> Iterator[Members]:
    """The members in their order, MOST_COMPARED at a time."""
    waiting: Members | None = None
    for piece in source():
        waiting = piece if waiting is None else np.concatenate([waiting, piece])
        while len(waiting) >= MOST_COMPARED:
            yield waiting[:MOST_COMPARED]
            waiting = waiting[MOST_COMPARED:]
    if waiting is not None and len(waiting):
        yield waiting
