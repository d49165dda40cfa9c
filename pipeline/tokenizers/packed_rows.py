"""Packed rows: a part of the token stream cut every `length` tokens, with the spans of documents in each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.tokenizers.base import Encoded

Ints = NDArray[np.int64]


def with_end_of_text(encoded: Encoded, end_of_text: int, dtype: np.dtype[np.unsignedinteger]) -> Encoded:
    """The same documents, each followed by the end-of-text token, in the type in which they are stored."""
    ids = np.insert(encoded.ids.astype(dtype, copy=False), encoded.offsets[1:], dtype.type(end_of_text))
    return Encoded(ids, encoded.offsets + np.arange(len(encoded.offsets)))


def occurrences(encoded: Encoded, token: int | None) -> Ints:
    """How often a token occurs in each document."""
    if token is None:
        return np.zeros(len(encoded), np.int64)
    cumulative = np.zeros(len(encoded.ids) + 1, np.int64)
    np.cumsum(encoded.ids == token, out=cumulative[1:])
    counts: Ints = np.diff(cumulative[encoded.offsets])
    return counts


@dataclass(frozen=True)
class TokenSpan:
    """Tokens that begin at the start of a row, and the documents that they belong to.

    `starts[i]` is where document i begins, relative to the first token: negative when it began before.
    """

    tokens: NDArray[np.unsignedinteger]
    ids: pa.Array
    starts: Ints

    def part(self, first: int, last: int) -> TokenSpan:
        """The tokens [first, last), with their documents."""
        begin = max(0, int(np.searchsorted(self.starts, first, side="right")) - 1)
        end = int(np.searchsorted(self.starts, min(last, len(self.tokens)), side="left"))
        return TokenSpan(self.tokens[first:last], self.ids.slice(begin, end - begin), self.starts[begin:end] - first)


def to_table(span: TokenSpan, length: int, schema: pa.Schema) -> pa.Table:
    """The rows of a span, `length` tokens each; the last row may be shorter."""
    size = len(span.tokens)
    edges = np.append(np.arange(0, size, length, dtype=np.int32), np.int32(size))
    tokens = pa.ListArray.from_arrays(pa.array(edges, pa.int32()), pa.array(span.tokens))
    return pa.table([tokens.cast(schema.field("tokens").type), _document_spans(span, length, schema)], schema=schema)


def _document_spans(span: TokenSpan, length: int, schema: pa.Schema) -> pa.Array:
    """The spans of documents in each row; a document that crosses the end of a row has a span in both rows."""
    size = len(span.tokens)
    row_starts = np.arange(0, size, length, dtype=np.int64)
    cuts = np.unique(np.concatenate([row_starts, span.starts[span.starts > 0]]))
    document = np.searchsorted(span.starts, cuts, side="right") - 1
    start = cuts % length
    end = start + np.diff(np.append(cuts, size))
    spans = pa.StructArray.from_arrays(
        [span.ids.take(pa.array(document)), pa.array(start.astype(np.int32)), pa.array(end.astype(np.int32))],
        fields=list(schema.field("documents").type.value_type),
    )
    edges = np.append(np.searchsorted(cuts, row_starts), len(cuts)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(edges, pa.int32()), spans, type=schema.field("documents").type)


def file_ranges(sizes: Sequence[int], first: int, last: int) -> list[tuple[int, int, int]]:
    """The parts of concatenated files that contain the tokens [first, last): (file, skip, take) in order."""
    ends = np.cumsum(np.asarray(sizes, np.int64))
    ranges: list[tuple[int, int, int]] = []
    position = first
    while position < last:
        file = int(np.searchsorted(ends, position, side="right"))
        begin = int(ends[file]) - sizes[file]
        take = min(last, int(ends[file])) - position
        ranges.append((file, position - begin, take))
        position += take
    return ranges
