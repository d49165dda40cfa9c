"""A spill: records of many partitions in one file that contains its own index.

    of each partition: uint64 where its records begin, uint64 their checksum (XXH3) · uint64 the end of the file
    the records, partition after partition

Reading a partition reads three numbers and then the records: 0.02 to 0.2 ms a file, depending on the disk. The index
takes 16 bytes per partition on disk; readers never load all of it. A segment proves its own bytes, so a range of a
spill that came over a network is never taken for another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xxhash

from pipeline.core.arrays import Array
from pipeline.core.draft import Draft
from pipeline.core.errors import StageFailed
from pipeline.core.files import replacing

ITEM = 8  # bytes of a number of the index
READS = 3  # of a segment that arrives with other bytes than were written


@dataclass(frozen=True)
class Segment:
    """The bytes that a spill holds of one partition."""

    draft: Draft
    path: str
    offset: int
    length: int
    checksum: int

    def read(self, dtype: npt.DTypeLike) -> Array:
        """The records of the segment.

        Raises: StageFailed when they are not those that were written.
        """
        for _ in range(READS):
            data = self.draft.read(self.path, self.offset, self.length)
            if xxhash.xxh3_64_intdigest(data) == self.checksum:
                return np.frombuffer(data, dtype)
        raise StageFailed(f"{self.path}: is not what was written. Run again with --force.")

    def file(self) -> tuple[Path, int]:
        """A local file that holds the segment, and where it begins: to read it bit by bit."""
        return self.draft.range_file(self.path, self.offset, self.length, self.checksum)


def write_spill(path: Path, sizes: Sequence[int], blocks: Iterable[Array]) -> bool:
    """Write `blocks`, end to end, by rename; `sizes[p]` are the bytes of partition p. Nothing is written if all are 0.

    A block lies in one partition. Returns whether there is a file.
    """
    if not any(sizes):
        return False
    count = len(sizes)
    ends = np.cumsum([ITEM * (2 * count + 1), *sizes], dtype=np.uint64)
    index = np.zeros(2 * count + 1, np.uint64)
    index[::2] = ends
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside, beside.open("wb") as stream:
        stream.write(index.data)
        for partition, checksum in enumerate(_write_blocks(stream.write, sizes, blocks)):
            index[2 * partition + 1] = checksum
        if stream.tell() != int(ends[-1]):
            raise StageFailed(f"{path.name}: {stream.tell():,} bytes were written where {ends[-1]:,} were announced.")
        stream.seek(0)
        stream.write(index.data)
    return True


def _write_blocks(write: Callable[[memoryview], int], sizes: Sequence[int], blocks: Iterable[Array]) -> Iterator[int]:
    """Write all blocks; yields the checksum of each partition when it is complete."""
    views = (np.ascontiguousarray(block).view(np.uint8).data for block in blocks if len(block))
    for size in sizes:
        digest, written = xxhash.xxh3_64(), 0
        while written < size and (view := next(views, None)) is not None:
            digest.update(view)
            write(view)
            written += view.nbytes
        yield digest.intdigest()
    for view in views:  # more than was announced: the caller finds it by the length
        write(view)


def segment(draft: Draft, path: str, partition: int) -> Segment:
    """Where a spill holds a partition; its length may be 0."""
    numbers = np.frombuffer(draft.read(path, 2 * ITEM * partition, 3 * ITEM), np.uint64)
    first, checksum, last = numbers.tolist()
    return Segment(draft, path, first, max(0, last - first), checksum)
