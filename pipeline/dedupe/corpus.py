"""The documents of a corpus by number: a document is its row, counted through the files in the order of their names."""

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
from pipeline.core.artifact import Artifact
from pipeline.core.draft import Draft
from pipeline.core.shards import batches
from pipeline.dedupe.base import Indices, RowNumbers
from pipeline.kernels.column import one_array

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
    def of(cls, artifacts: Sequence[Artifact]) -> CorpusIndex:
        """From the manifests of the artifacts: no file is read.

        An earlier artifact is an earlier part of the corpus; within an artifact the file names give the part.
        """
        files = [(part, entry) for part, artifact in enumerate(artifacts) for entry in artifact.entries("parts/")]
        starts = np.cumsum([0, *(entry.rows or 0 for _, entry in files)]).astype(np.uint64)
        parts = np.array([part * NAMED_PARTS + _part_in_name(entry.path) for part, entry in files], np.int64)
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


def _part_in_name(path: str) -> int:
    """The number that a file's name begins with, 0 if with none."""
    number = Path(path).name.partition("-")[0]
    return int(number) if number.isdecimal() else 0


def read_rows(path: Path, start: int, columns: Sequence[str] | None = None) -> Iterator[tuple[RowNumbers, pa.Table]]:
    """The row groups of a file with the numbers of their documents, from `start`."""
    for batch in batches(path, columns):
        yield np.arange(start, start + len(batch), dtype=np.uint64), batch
        start += len(batch)


def read_texts(path: Path, start: int) -> Iterator[tuple[RowNumbers, pa.LargeStringArray]]:
    """The texts of a file, about TEXT_BYTES at a time, with the numbers of their documents, from `start`."""
    for documents, batch in read_rows(path, start, ["text"]):
        texts = one_array(batch["text"])
        for first, last in text_slices(texts):
            yield documents[first:last], texts.slice(first, last - first)


def text_slices(texts: pa.LargeStringArray) -> Iterator[tuple[int, int]]:
    """Ranges of texts, each of about TEXT_BYTES."""
    ends = np.cumsum(pc.binary_length(texts).to_numpy())
    cuts = np.flatnonzero(np.diff(ends // TEXT_BYTES, prepend=0)) + 1
    yield from itertools.pairwise(np.unique([0, *cuts, len(texts)]).tolist())


def group_by_label(labels: NDArray[np.int64]) -> Iterator[tuple[int, Indices]]:
    """Each label in rising order, with the indices that have it: one sort, however many labels there are."""
    order = np.argsort(labels, kind="stable")
    values, starts = np.unique(labels[order], return_index=True)
    for value, first, last in zip(values, starts, [*starts[1:], len(order)], strict=True):
        yield int(value), order[first:last]
