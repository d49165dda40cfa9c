"""The documents of an artifact by number: a document is its row, counted through the files in order of their names.

Files are worked on in stretches of neighbours, at most STRETCHES of them: what one stretch needs of every other, or of
every partition, then grows with the corpus and not with its square.
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

from pipeline.core.shards import batches, rows
from pipeline.dedupe.arrays import load, save
from pipeline.dedupe.base import Numbers, Offsets

STRETCHES = 1024
TEXT_BYTES = 2 << 20  # ten times that is in memory while it is normalised and hashed
NAME = "corpus"
NAMED_PARTS = 10_000  # a part is four digits of a file's name


@dataclass(frozen=True)
class Corpus:
    """Where each document lies. A few bytes a file: written down once by the driver, mapped by every task.

    `starts`: the number of the first document of each file, and how many documents there are; `parts`: the part of the
    corpus that each file came with; `edges`: the first file of each stretch, and how many files there are.
    """

    starts: Numbers
    parts: Offsets
    edges: Offsets

    @classmethod
    def of(cls, files: Sequence[Path], artifacts: Sequence[int] = ()) -> Corpus:
        """Reads the footer of every file; `artifacts`: the number of the artifact that each lies in.

        Documents of an earlier artifact are an earlier part of the corpus; within one, the files' names say the part.
        """
        starts = np.cumsum([0, *(rows(path) for path in files)]).astype(np.uint64)
        # the first number in a file's name
        names = [path.name.partition("-")[0] for path in files]
        parts = np.array([int(name) if name.isdecimal() else 0 for name in names], np.int64)
        if artifacts:
            parts += np.array(artifacts, np.int64) * NAMED_PARTS
        stretches = min(len(files), STRETCHES)
        edges = np.arange(stretches + 1) * len(files) // max(stretches, 1)
        return cls(starts, parts, edges)

    def save(self, folder: Path) -> None:
        save(folder, NAME, starts=self.starts, parts=self.parts, edges=self.edges)

    @classmethod
    def load(cls, folder: Path) -> Corpus:
        return cls(load(folder, NAME, "starts"), load(folder, NAME, "parts"), load(folder, NAME, "edges"))

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def stretches(self) -> int:
        return len(self.edges) - 1

    @property
    def stretch_starts(self) -> Numbers:
        """The number of the first document of each stretch, and how many documents there are."""
        return self.starts[self.edges]

    def files_of(self, stretch: int) -> range:
        """The files of a stretch."""
        return range(int(self.edges[stretch]), int(self.edges[stretch + 1]))

    def stretch_of(self, documents: Numbers) -> Offsets:
        """Which stretch each document lies in."""
        return np.searchsorted(self.stretch_starts, documents, side="right") - 1

    def part_of(self, documents: Numbers) -> Offsets:
        """Which part of the corpus each document came with."""
        return self.parts[np.searchsorted(self.starts, documents, side="right") - 1]


def read_rows(path: Path, start: int, columns: Sequence[str] | None = None) -> Iterator[tuple[Numbers, pa.Table]]:
    """The row groups of a file with the numbers of their documents, from `start`."""
    for batch in batches(path, columns):
        yield np.arange(start, start + len(batch), dtype=np.uint64), batch
        start += len(batch)


def read_texts(path: Path, start: int) -> Iterator[tuple[Numbers, pa.LargeStringArray]]:
    """The texts of a file, some TEXT_BYTES at a time, with the numbers of their documents, from `start`."""
    for documents, batch in read_rows(path, start, ["text"]):
        texts = batch["text"].combine_chunks()
        ends = np.cumsum(pc.binary_length(texts).to_numpy())
        cuts = np.flatnonzero(np.diff(ends // TEXT_BYTES, prepend=0)) + 1
        for first, last in itertools.pairwise(np.unique([0, *cuts, len(texts)]).tolist()):
            yield documents[first:last], texts.slice(first, last - first)


def grouped(labels: NDArray[np.int64]) -> Iterator[tuple[int, Offsets]]:
    """Each label in rising order, with the places that bear it: one sort, however many labels there are."""
    order = np.argsort(labels, kind="stable")
    values, starts = np.unique(labels[order], return_index=True)
    for value, first, last in zip(values, starts, [*starts[1:], len(order)], strict=True):
        yield int(value), order[first:last]
