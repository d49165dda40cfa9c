"""Shingle sets on disk, of the documents that may have a copy and of no other; read again by document number.

<stretch>.values holds the sets of a stretch of the corpus end to end; <stretch>.index.npy their documents, and where
each set ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.core.files import replacing
from pipeline.dedupe.base import Numbers, Offsets, Sets
from pipeline.dedupe.corpus import grouped

SLICE_VALUES = 1 << 20  # shingles in memory at a time: 4 MB, and 24 MB while they are gathered


def write_sets(folder: Path, stretch: int, batches: Iterator[tuple[Numbers, Sets]]) -> int:
    """Store the sets of a stretch: documents in rising order, each batch with its sets. Returns the documents."""
    folder.mkdir(parents=True, exist_ok=True)
    documents, ends, total = [], [], 0
    with replacing(_values(folder, stretch)) as beside, beside.open("wb") as stream:
        for numbers, sets in batches:
            stream.write(np.ascontiguousarray(sets.values).view(np.uint8).data)
            documents.append(numbers)
            ends.append(sets.offsets[1:].astype(np.uint64) + np.uint64(total))
            total += len(sets.values)
    index = np.stack([np.concatenate([np.empty(0, np.uint64), *part]) for part in (documents, ends)])
    with replacing(_index(folder, stretch)) as beside, beside.open("wb") as stream:
        np.save(stream, index)
    return int(index.shape[1])


class SetStore:
    """Reads sets by document number. `starts[s]` is the number of the first document of stretch s."""

    def __init__(self, folder: Path, starts: Numbers) -> None:
        self.folder, self.starts = folder, starts

    def sizes(self, documents: Numbers) -> Offsets:
        """How many distinct shingles each document has; 0 for one that was not stored."""
        sizes = np.zeros(len(documents), np.int64)
        for _, rows, begins, ends in self._places(documents):
            sizes[rows] = ends - begins
        return sizes

    def extremes(self, documents: Numbers) -> tuple[Offsets, Offsets]:
        """The least and the greatest shingle of each document; 0 for one that was not stored."""
        least, greatest = np.zeros(len(documents), np.int64), np.zeros(len(documents), np.int64)
        for stretch, rows, begins, ends in self._places(documents):
            stored_here = ends > begins
            if stored_here.any():
                stored = np.memmap(_values(self.folder, stretch), np.uint32, "r")
                least[rows[stored_here]], greatest[rows[stored_here]] = (
                    stored[begins[stored_here]],
                    stored[ends[stored_here] - 1],
                )
        return least, greatest

    def read(self, documents: Numbers) -> tuple[Sets, Offsets]:
        """The sets of these documents, each once, and for every document the place of its set."""
        unique, places = np.unique(documents, return_inverse=True)
        sizes = self.sizes(unique)
        offsets = np.append(0, np.cumsum(sizes))
        values = np.empty(offsets[-1], np.uint32)
        for stretch, rows, begins, ends in self._places(unique):
            # stretches are in the order of their documents, so each fills one range
            lengths = ends - begins
            within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            stored = np.memmap(_values(self.folder, stretch), np.uint32, "r") if len(within) else np.empty(0, np.uint32)
            first = offsets[rows[0]]
            values[first : first + len(within)] = stored[within + np.repeat(begins, lengths)]
        return Sets(values, offsets), places.astype(np.int64)

    def _places(self, documents: Numbers) -> Iterator[tuple[int, Offsets, Offsets, Offsets]]:
        """For each stretch: which of the documents it holds, and where their sets begin and end in it."""
        for stretch, rows in grouped(np.searchsorted(self.starts, documents, side="right") - 1):
            path = _index(self.folder, stretch)
            if not path.exists():
                continue
            index = np.load(path, mmap_mode="r")
            at = np.searchsorted(index[0], documents[rows])
            known = at < index.shape[1]
            known[known] = index[0][at[known]] == documents[rows[known]]
            rows, at = rows[known], at[known]
            if len(rows):
                ends = index[1][at].astype(np.int64)
                begins = np.where(at > 0, index[1][np.maximum(at, 1) - 1].astype(np.int64), 0)
                yield stretch, rows, begins, ends


def slices(sizes: Offsets, limit: int = SLICE_VALUES) -> Iterator[tuple[int, int]]:
    """Cut a list of sets into stretches of about `limit` values, at least one set each."""
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        before = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + limit, side="right")))
        yield start, end
        start = end


def _values(folder: Path, stretch: int) -> Path:
    return folder / f"{stretch:06d}.values"


def _index(folder: Path, stretch: int) -> Path:
    return folder / f"{stretch:06d}.index.npy"
