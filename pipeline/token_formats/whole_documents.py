"""Packed rows as documents again: the spans of a split in the order of documents, where each begins and how long it is.

By concat documents lie in the rows in their order, so a span that begins a row goes on with the document that ended the
row before. By best fit the pieces of a document lie in several rows of one shard, where no document crosses shards:
its full rows in their order, its rest anywhere; they are put together again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.core.shards import batches
from pipeline.token_formats.base import PackedSplit

COLUMNS = ["tokens", "documents"]


@dataclass(frozen=True)
class WholeDocuments:
    """Tokens of whole documents, but the first may go on from the batch before and the last into the next one.

    `ids` and `sizes`: of each run of spans of one document; `continues`: whether the first one may go on from before.
    """

    tokens: NDArray[np.unsignedinteger]
    ids: pa.Array
    sizes: NDArray[np.int64]
    continues: bool
    rows: int


class OpenDocument:
    """The last document of a batch, of which the next batch may have more."""

    def __init__(self) -> None:
        self.id: str | None = None
        self.size = 0

    def closed_by(self, batch: WholeDocuments) -> NDArray[np.int64]:
        """The sizes of the documents that are known to have ended, in tokens; the last one of the batch is now open."""
        sizes = batch.sizes.copy()
        if batch.continues and self.id == batch.ids[0].as_py():
            sizes[0] += self.size
            closed = sizes[:-1]
        else:
            closed = np.append(self.close(), sizes[:-1])
        self.id, self.size = batch.ids[-1].as_py(), int(sizes[-1])
        return closed

    def close(self) -> NDArray[np.int64]:
        """The size of the open document, if there is one."""
        return np.array([] if self.id is None else [self.size], np.int64)


def document_batches(split: PackedSplit) -> Iterator[WholeDocuments]:
    """The documents of a split, in their order; a batch is a row group, by best fit a shard."""
    for shard in split.shards:
        if split.best_fit:
            yield _joined(pa.concat_tables(batches(shard, COLUMNS)).combine_chunks())
        else:
            yield from (_in_order(table) for table in batches(shard, COLUMNS))


def _in_order(table: pa.Table) -> WholeDocuments:
    """A row group by concat: neighbouring spans of one document, the second at the start of a row, are one."""
    spans = table["documents"].combine_chunks().flatten()
    ids, starts = spans.field("id"), spans.field("start").to_numpy()
    sizes = (spans.field("end").to_numpy() - starts).astype(np.int64)
    same = pc.equal(ids.slice(1), ids.slice(0, len(ids) - 1)).to_numpy(zero_copy_only=False).astype(np.bool_)
    begins = np.flatnonzero(np.append(True, ~(same & (starts[1:] == 0))))
    return WholeDocuments(_tokens(table), ids.take(pa.array(begins)), np.add.reduceat(sizes, begins), True, len(table))


def _joined(table: pa.Table) -> WholeDocuments:
    """A shard by best fit: the pieces of each document together, its full rows before its rest."""
    documents = table["documents"].combine_chunks()
    spans = documents.flatten()
    encoded = spans.field("id").dictionary_encode()
    document = encoded.indices.to_numpy()  # counted in the order of first pieces
    starts = spans.field("start").to_numpy().astype(np.int64)
    sizes = spans.field("end").to_numpy() - starts
    row_sizes = table["tokens"].combine_chunks().value_lengths().to_numpy().astype(np.int64)
    row_starts = np.cumsum(row_sizes) - row_sizes
    begins = starts + np.repeat(row_starts, documents.value_lengths().to_numpy())
    order = np.lexsort((-sizes, document))  # stable: full rows, all of one size, stay in their order
    sizes, begins = sizes[order], begins[order]
    ends = np.cumsum(sizes)
    tokens = _tokens(table)[np.arange(len(_tokens(table))) + np.repeat(begins - ends + sizes, sizes)]
    totals = np.bincount(document[order], sizes).astype(np.int64)
    return WholeDocuments(tokens, encoded.dictionary, totals, False, len(table))


def _tokens(table: pa.Table) -> NDArray[np.unsignedinteger]:
    tokens: NDArray[np.unsignedinteger] = table["tokens"].combine_chunks().flatten().to_numpy()
    return tokens
