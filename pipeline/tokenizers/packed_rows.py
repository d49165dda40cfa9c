"""Packed rows: a stretch of the token stream cut every `length` tokens, and the spans of documents in each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.tokenizers.base import Encoded

Ints = NDArray[np.int64]


def with_end_of_text(encoded: Encoded, end_of_text: int, dtype: np.dtype[np.unsignedinteger]) -> Encoded:
    """The same documents, each followed by the end-of-text token, in the type they are stored in."""
    ids = np.insert(encoded.ids.astype(dtype, copy=False), encoded.offsets[1:], dtype.type(end_of_text))
    return Encoded(ids, encoded.offsets + np.arange(len(encoded.offsets)))


def occurrences(encoded: Encoded, token: int | None) -> Ints:
    """How often a token occurs in each document."""
    if token is None:
        return np.zeros(len(encoded), np.int64)
    found = np.zeros(len(encoded.ids) + 1, np.int64)
    np.cumsum(encoded.ids == token, out=found[1:])
    counts: Ints = np.diff(found[encoded.offsets])
    return counts


@dataclass(frozen=True)
class TokenSpan:
    """Tokens that begin at a row's start, and the documents they belong to.

    `starts[i]` is where document i begins, counted from the stretch's first token: negative when it began before.
    """

    tokens: NDArray[np.unsignedinteger]
    ids: pa.Array
    starts: Ints

    def part(self, first: int, last: int) -> TokenSpan:
        """The tokens [first, last) alone, with their documents."""
        begin = max(0, int(np.searchsorted(self.starts, first, side="right")) - 1)
        end = int(np.searchsorted(self.starts, min(last, len(self.tokens)), side="left"))
        return TokenSpan(self.tokens[first:last], self.ids.slice(begin, end - begin), self.starts[begin:end] - first)


def to_table(stretch: TokenSpan, length: int, schema: pa.Schema) -> pa.Table:
    """The rows of a stretch, `length` tokens each; the last may be short."""
    size = len(stretch.tokens)
    edges = np.append(np.arange(0, size, length, dtype=np.int32), np.int32(size))
    tokens = pa.ListArray.from_arrays(pa.array(edges, pa.int32()), pa.array(stretch.tokens))
    return pa.table([tokens.cast(schema.field("tokens").type), _spans(stretch, length, schema)], schema=schema)


def _spans(stretch: TokenSpan, length: int, schema: pa.Schema) -> pa.Array:
    """A document that crosses a row's border has a span in each: cut at every row's start and every document's."""
    size = len(stretch.tokens)
    row_starts = np.arange(0, size, length, dtype=np.int64)
    cuts = np.unique(np.concatenate([row_starts, stretch.starts[stretch.starts > 0]]))
    document = np.searchsorted(stretch.starts, cuts, side="right") - 1
    start = cuts % length
    end = start + np.diff(np.append(cuts, size))
    spans = pa.StructArray.from_arrays(
        [stretch.ids.take(pa.array(document)), pa.array(start.astype(np.int32)), pa.array(end.astype(np.int32))],
        fields=list(schema.field("documents").type.value_type),
    )
    edges = np.append(np.searchsorted(cuts, row_starts), len(cuts)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(edges, pa.int32()), spans, type=schema.field("documents").type)


def file_ranges(sizes: Sequence[int], first: int, last: int) -> list[tuple[int, int, int]]:
    """Which part of which file holds the tokens [first, last) of files laid end to end: (file, skip, take) in order."""
    ends = np.cumsum(np.asarray(sizes, np.int64))
    found, at = [], first
    while at < last:
        file = int(np.searchsorted(ends, at, side="right"))
        begin = int(ends[file]) - sizes[file]
        take = min(last, int(ends[file])) - at
        found.append((file, at - begin, take))
        at += take
    return found
