"""The documents of an artifact by number: a document is its row, counted through the files in order of their names."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.shards import batches, rows
from pipeline.dedupe.base import Numbers, Offsets

TEXT_BYTES = 2 << 20  # ten times that is in memory while it is normalised and hashed


class Corpus:
    """Files and the number of the first document of each; `starts` has one more: how many documents there are."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = list(files)
        sizes = [rows(path) for path in self.files]
        self.starts: Numbers = np.cumsum([0, *sizes]).astype(np.uint64)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def rows(self, file: int, columns: Sequence[str] | None = None) -> Iterator[tuple[Numbers, pa.Table]]:
        """The row groups of a file with the numbers of their documents."""
        start = int(self.starts[file])
        for batch in batches(self.files[file], columns):
            yield np.arange(start, start + len(batch), dtype=np.uint64), batch
            start += len(batch)

    def texts(self, file: int) -> Iterator[tuple[Numbers, pa.LargeStringArray]]:
        """The texts of a file, some TEXT_BYTES at a time, with the numbers of their documents."""
        for documents, batch in self.rows(file, ["text"]):
            texts = batch["text"].combine_chunks()
            ends = np.cumsum(pc.binary_length(texts).to_numpy())
            cuts = np.flatnonzero(np.diff(ends // TEXT_BYTES, prepend=0)) + 1
            for first, last in itertools.pairwise(np.unique([0, *cuts, len(texts)]).tolist()):
                yield documents[first:last], texts.slice(first, last - first)

    def file_of(self, documents: Numbers) -> Offsets:
        """Which file each document lies in."""
        return np.searchsorted(self.starts, documents, side="right") - 1

    def parts(self, documents: Numbers) -> Offsets:
        """Which part of the corpus each document came with: the first number in its file's name."""
        names = [path.name.partition("-")[0] for path in self.files]
        found = np.array([int(name) if name.isdecimal() else 0 for name in names], np.int64)
        return found[self.file_of(documents)]
