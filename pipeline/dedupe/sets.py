"""Shingle sets on disk, for the documents that may have a copy; read back by document number.

sets/<file range>.values holds the sets of a file range one after another, sets/<file range>.index.npy their documents
and where each set ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.draft import Draft
from pipeline.core.files import replacing
from pipeline.dedupe.base import Indices, RowNumbers, Sets
from pipeline.dedupe.corpus import group_by_label

FOLDER = "sets"
SLICE_VALUES = 1 << 20  # shingles in memory at a time: 4 MB, and 24 MB while they are gathered


def write_sets(folder: Path, file_range: int, batches: Iterator[tuple[RowNumbers, Sets]]) -> int:
    """Write the sets of a file range, batches in the order of their documents. Returns the number of documents."""
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    documents, ends, total = [], [], 0
    with replacing(folder / _values(file_range)) as beside, beside.open("wb") as stream:
        for numbers, sets in batches:
            stream.write(np.ascontiguousarray(sets.values).view(np.uint8).data)
            documents.append(numbers)
            ends.append(sets.offsets[1:].astype(np.uint64) + np.uint64(total))
            total += len(sets.values)
    index = np.stack([np.concatenate([np.empty(0, np.uint64), *part]) for part in (documents, ends)])
    with replacing(folder / _index(file_range)) as beside, beside.open("wb") as stream:
        np.save(stream, index)
    return int(index.shape[1])


class SetStore:
    """Reads sets by document number. `starts[s]` is the number of the first document of file range s.

    `draft`: where the sets of every file range are; None when no document has a set.
    """

    def __init__(self, draft: Draft | None, starts: RowNumbers) -> None:
        self.draft, self.starts = draft, starts

    def sizes(self, documents: RowNumbers) -> Indices:
        """The number of distinct shingles of each document; 0 for one that was not stored."""
        sizes = np.zeros(len(documents), np.int64)
        for _, rows, begins, ends in self._places(documents):
            sizes[rows] = ends - begins
        return sizes

    def extremes(self, documents: RowNumbers) -> tuple[Indices, Indices]:
        """The least and the greatest shingle of each document; 0 for one that was not stored."""
        least = np.zeros(len(documents), np.int64)
        greatest = np.zeros(len(documents), np.int64)
        for file_range, rows, begins, ends in self._places(documents):
            nonempty = ends > begins
            if nonempty.any():
                values = self._map_values(file_range)
                least[rows[nonempty]] = values[begins[nonempty]]
                greatest[rows[nonempty]] = values[ends[nonempty] - 1]
        return least, greatest

    def read(self, documents: RowNumbers) -> tuple[Sets, Indices]:
        """The sets of these documents, each once, and for every document the index of its set."""
        unique, places = np.unique(documents, return_inverse=True)
        sizes = self.sizes(unique)
        offsets = np.append(0, np.cumsum(sizes))
        values = np.empty(offsets[-1], np.uint32)
        for file_range, rows, begins, ends in self._places(unique):
            # file ranges are in the order of their documents, so each fills one slice of `values`
            lengths = ends - begins
            within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            stored = self._map_values(file_range) if len(within) else np.empty(0, np.uint32)
            first = offsets[rows[0]]
            values[first : first + len(within)] = stored[within + np.repeat(begins, lengths)]
        return Sets(values, offsets), places.astype(np.int64)

    def _map_values(self, file_range: int) -> NDArray[np.uint32]:
        assert self.draft is not None
        return np.memmap(self.draft.file(_values(file_range)), np.uint32, "r")

    def _places(self, documents: RowNumbers) -> Iterator[tuple[int, Indices, Indices, Indices]]:
        """For each file range: the indices of the documents stored in it, and where their sets begin and end."""
        if self.draft is None:
            return
        for file_range, rows in group_by_label(np.searchsorted(self.starts, documents, side="right") - 1):
            index = np.load(self.draft.file(_index(file_range)), mmap_mode="r")
            at = np.searchsorted(index[0], documents[rows])
            stored = at < index.shape[1]
            stored[stored] = index[0][at[stored]] == documents[rows[stored]]
            rows, at = rows[stored], at[stored]
            if len(rows):
                ends = index[1][at].astype(np.int64)
                begins = np.where(at > 0, index[1][np.maximum(at, 1) - 1].astype(np.int64), 0)
                yield file_range, rows, begins, ends


def slice_sets(sizes: Indices, limit: int = SLICE_VALUES) -> Iterator[tuple[int, int]]:
    """Split a list of sets into slices of about `limit` values, at least one set each."""
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        before = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + limit, side="right")))
        yield start, end
        start = end


def _values(file_range: int) -> str:
    return f"{FOLDER}/{file_range:06d}.values"


def _index(file_range: int) -> str:
    return f"{FOLDER}/{file_range:06d}.index.npy"
