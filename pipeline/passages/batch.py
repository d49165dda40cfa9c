"""A batch of documents as finders see it: columns, and lines or sentences, each split once for all finders."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.core.arrays import Array
from pipeline.kernels.column import buffers
from pipeline.kernels.passages import Pieces, space_for, split_pieces
from pipeline.kernels.text_hash import hash_plain
from pipeline.text.unicode import tables

Hashes = NDArray[np.uint64]
COLUMNS = ("text", "source", "url", "language")  # that finders may read


class DocumentBatch:
    """About two megabytes of text. `skipped`: documents without pieces, whatever their text is."""

    def __init__(self, table: pa.Table, skip_languages: list[str]) -> None:
        self.table = table
        self.skipped: NDArray[np.bool_] = (
            pc.is_in(table["language"], pa.array(skip_languages, pa.string())).to_numpy().astype(np.bool_)
        )
        self.data, self.offsets = buffers(table["text"])

    @classmethod
    def of_texts(cls, texts: pa.LargeStringArray) -> DocumentBatch:
        """Texts of no known language."""
        return cls(pa.table({"text": texts, "language": pa.nulls(len(texts), pa.string())}), [])

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lines(self) -> Pieces:
        """The lines of all documents that are not skipped; none is blank."""
        return self._split(at_sentences=0)

    @cached_property
    def sentences(self) -> Pieces:
        """Their sentences (`text.words.sentences`)."""
        return self._split(at_sentences=1)

    def hashes_of(self, column: str | pa.Array) -> Hashes:
        """Two hashes of a column of short texts, [documents, 2]; null counts as empty."""
        values = self.table[column] if isinstance(column, str) else column
        hashes = np.empty((len(self), 2), np.uint64)
        hash_plain(*buffers(values), hashes)
        return hashes

    def _split(self, at_sentences: int) -> Pieces:
        size_bytes = int(self.offsets[-1] - self.offsets[0])
        space = space_for(size_bytes, len(self))
        number = split_pieces(self.data, self.offsets, tables(), at_sentences, space)
        kept = np.flatnonzero(~self.skipped[space.document[:number]]) if self.skipped.any() else slice(number)
        lines: list[Array] = [array[kept].copy() for array in space]
        return Pieces(*lines)
