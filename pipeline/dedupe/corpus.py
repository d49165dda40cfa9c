"""The documents of a corpus by number: a document is its row, counted through the files in the order of their names.

x
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.core.arrays import load_array, save_arrays
from pipeline.core.draft import Draft
from pipeline.core.shards import batches, rows
from pipeline.dedupe.base import Indices, RowNumbers

MAX_FILE_RANGES = 1024
TEXT_BYTES = 2 << 20  # memory is ten times this while texts are normalised and hashed
NAME = "corpus"
NAMED_PARTS = 10_000  # file names hold the part as four digits


@dataclass(frozen=True)
class CorpusIndex:
    """The file and part of each document: a few bytes per file, written by the driver, memory-mapped by every task.

    `starts`: the number of the first document of each file, and the number of documents; `parts`: the part of the
    corpus that each file belongs to; `edges`: the first file of each file range, and the number of files.
    """

    starts: RowNumbers
    parts: Indices
    edges: Indices

    @classmethod
    def of(cls, files: Sequence[Path], artifacts: Sequence[int] = ()) -> CorpusIndex:
        """Read the footers of all files; `artifacts[i]` is the index of the artifact that file i belongs to.

        An earlier artifact is an earlier part of the corpus; within an artifact the file names give the part.
        """
        starts = np.cumsum([0, *(rows(path) for path in files)]).astype(np.uint64)
        # the first number in a file's name
        names = [path.name.partition("-")[0] for path in files]
        parts = np.array([int(name) if name.isdecimal() else 0 for name in names], np.int64)
        if artifacts:
            parts += np.array(artifacts, np.int64) * NAMED_PARTS
        count = min(len(files), MAX_FILE_RANGES)
        edges = np.arange(count + 1) * len(files) // max(count, 1)
        return cls(starts, parts, edges)

    def save(self, folder: Path) -> None:
        save_arrays(folder, NAME, starts=self.starts, parts=self.parts, edges=self.edges)

    @classmethod
    def load(cls, draft: Draft) -> CorpusIndex:
        starts, parts, edges = (load_array(draft, NAME, name) for name in ("starts", "parts", "edges"))
        return cls(starts, parts, edges)

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def file_ranges(self) -> int:
        return len(self.edges) - 1

    @property
    def range_starts(self) -> RowNumbers:
        """The number of the first document of each file range, and the number of documents."""
        return self.starts[self.edges]

    def files_of(self, file_range: int) -> range:
        """The files of a file range."""
        return range(int(self.edges[file_range]), int(self.edges[file_range + 1]))

    def range_of(self, documents: RowNumbers) -> Indices:
        """The file range of each document."""
        return np.searchsorted(self.range_starts, documents, side="right") - 1

    def part_of(self, documents: RowNumbers) -> Indices:
        """The part of the corpus of each document."""
        return self.parts[np.searchsorted(self.starts, documents, side="right") - 1]


def read_rows(path: Path, start: int, columns: Sequence[str] | None = None) -> Iterator[tuple[RowNumbers, pa.Table]]:
    """The row groups of a file with the numbers of their documents, from `start`."""
    for batch in batches(path, columns):
        yield np.arange(start, start + len(batch), dtype=np.uint64), batch
        start += len(batch)


def read_texts(path: Path, start: int) -> Iterator[tuple[RowNumbers, pa.LargeStringArray]]:
    """The texts of a file, about TEXT_BYTES at a time, with the numbers of their documents, from `start`."""
    for documents, batch in read_rows(path, start, ["text"]):
        texts = batch["text"].combine_chunks()
        ends = np.cumsum(pc.binary_length(texts).to_numpy())
        cuts = np.flatnonzero(np.diff(ends // TEXT_BYTES, prepend=0)) + 1
        for first, last in itertools.pairwise(np.unique([0, *cuts, len(texts)]).tolist()):
            yield documents[first:last], texts.slice(first, last - first)


def group_by_label(labels: NDArray[np.int64]) -> Iterator[tuple[int, Indices]]:
    """Each label in rising order, with the indices that have it: one sort, however many labels there are."""
    order = np.argsort(labels, kind="stable")
    values, starts = np.unique(labels[order], return_index=True)
    for value, first, last in zip(values, starts, [*starts[1:], len(order)], strict=True):
        yield int(value), order[first:last]
