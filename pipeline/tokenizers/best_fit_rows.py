"""Rows by best-fit packing: whole documents together where they fit, so that few are cut (arXiv 2404.10830).

A document longer than a row fills rows of its own, and its rest is packed like a short document. Rows are as full as
the documents allow; each keeps its documents in their order, and rows follow the order of their first documents.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from pipeline.kernels.best_fit import best_fit
from pipeline.tokenizers.packed_rows import Ints, TokenSpan


class BestFitRows:
    """The rows of whole documents, which begin at `span.starts`. `truncated`: documents that lie in several rows."""

    def __init__(self, span: TokenSpan, length: int) -> None:
        self.span = span
        sizes = np.diff(np.append(span.starts, len(span.tokens)))
        pieces = -(-sizes // length)
        self.truncated = int((pieces > 1).sum())
        self.document = np.repeat(np.arange(len(sizes)), pieces)
        number = np.arange(len(self.document)) - np.repeat(np.cumsum(pieces) - pieces, pieces)  # of a piece
        self.start = span.starts[self.document] + number * length
        self.size = np.minimum(length, sizes[self.document] - number * length)
        rows = np.empty(len(self.size), np.int64)
        largest_first = np.argsort(-self.size, kind="stable")
        count = best_fit(self.size, largest_first, length, rows)
        self._arrange(rows, count)

    def _arrange(self, rows: Ints, count: int) -> None:
        """Sort the pieces by row, the rows by their first piece, the pieces of a row as they were."""
        first = np.full(count, len(rows))
        np.minimum.at(first, rows, np.arange(len(rows)))
        number = np.empty(count, np.int64)
        number[np.argsort(first)] = np.arange(count)
        order = np.argsort(number[rows], kind="stable")
        self.document, self.start, self.size = self.document[order], self.start[order], self.size[order]
        # where the pieces of each row begin, and the end
        self.edges = np.append(np.searchsorted(number[rows][order], np.arange(count)), len(order))

    def __len__(self) -> int:
        return len(self.edges) - 1

    def tables(self, rows: int, schema: pa.Schema) -> Iterator[pa.Table]:
        """Tables of so many rows each."""
        for first in range(0, len(self), rows):
            yield self._table(first, min(first + rows, len(self)), schema)

    def _table(self, first: int, last: int, schema: pa.Schema) -> pa.Table:
        pieces = slice(self.edges[first], self.edges[last])
        start, size = self.start[pieces], self.size[pieces]
        ends = np.cumsum(size)
        tokens = self.span.tokens[np.arange(ends[-1]) + np.repeat(start - ends + size, size)]
        piece_edges = self.edges[first : last + 1] - self.edges[first]
        token_edges = np.append(0, ends)[piece_edges]
        in_row = ends - size - np.repeat(token_edges[:-1], np.diff(piece_edges))
        spans = pa.StructArray.from_arrays(
            [
                self.span.ids.take(pa.array(self.document[pieces])), pa.array(in_row.astype(np.int32)),
                pa.array((in_row + size).astype(np.int32)),
            ],
            fields=list(schema.field("documents").type.value_type),
        )  # fmt: skip
        columns = [
            pa.ListArray.from_arrays(pa.array(token_edges, pa.int32()), pa.array(tokens)).cast(
                schema.field("tokens").type
            ),
            pa.ListArray.from_arrays(pa.array(piece_edges, pa.int32()), spans, type=schema.field("documents").type),
        ]
        return pa.table(columns, schema=schema)
