"""Token streams on disk between encoding and packing: a flat file of tokens, and a file of their documents.

<stem>.tokens contains the ids end to end, little-endian; <stem>.documents (Arrow) has the id and the number of tokens
of each document. Any range can be read by itself, so rows that cross files are cut without a whole file in memory.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.core.counts import GroupCounts
from pipeline.core.draft import Draft
from pipeline.core.files import replacing
from pipeline.tokenizers.packed_rows import TokenSpan

DOCUMENTS = pa.schema([("id", pa.string()), ("tokens", pa.int64())])


class StreamWriter:
    """`with StreamWriter(folder, stem) as stream: stream.write(...)`; both files appear when the block succeeds."""

    def __init__(self, folder: Path, stem: str) -> None:
        self.folder = folder
        self.stem = stem
        self.tokens = 0
        self.groups: list[GroupCounts] = []  # filled by GroupedStreamWriter

    def __enter__(self) -> StreamWriter:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._stack = ExitStack()
        with self._stack:
            paths = [self._stack.enter_context(replacing(self.folder / name)) for name in _names(self.stem)]
            self._tokens = self._stack.enter_context(paths[0].open("wb"))
            self._documents = self._stack.enter_context(pa.ipc.new_file(str(paths[1]), DOCUMENTS))
            self._stack = self._stack.pop_all()
        return self

    def write(self, tokens: NDArray[np.unsignedinteger], documents: pa.Table, sizes: NDArray[np.int64]) -> None:
        """Append documents in order: their tokens end to end, a table with their ids, the number of tokens of each."""
        self._tokens.write(np.ascontiguousarray(tokens).view(np.uint8).data)
        ids = documents["id"].combine_chunks()
        self._documents.write_batch(pa.record_batch([ids, pa.array(sizes, pa.int64())], schema=DOCUMENTS))
        self.tokens += len(tokens)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)


@dataclass(frozen=True)
class StreamRange:
    """`take` tokens of the stream `stem`, starting at token `skip`."""

    stem: str
    skip: int
    take: int


def read_ranges(draft: Draft, folder: str, ranges: list[StreamRange], dtype: np.dtype[np.unsignedinteger]) -> TokenSpan:
    """The tokens of several ranges of streams, end to end, with the documents that overlap them."""
    tokens: list[NDArray[np.unsignedinteger]] = []
    ids: list[pa.Array] = []
    starts: list[NDArray[np.int64]] = []
    position = 0
    for part in ranges:
        token_path, document_path = (draft.file(f"{folder}/{name}") for name in _names(part.stem))
        part_tokens = np.fromfile(token_path, dtype, part.take, offset=part.skip * dtype.itemsize)
        with pa.memory_map(str(document_path)) as source:
            documents = pa.ipc.open_file(source).read_all()
        ends = np.cumsum(documents["tokens"].to_numpy())
        first = int(np.searchsorted(ends, part.skip, side="right"))
        last = int(np.searchsorted(ends, part.skip + part.take, side="left")) + 1
        begins = np.concatenate([[0], ends[:-1]])[first:last]
        tokens.append(part_tokens)
        ids.append(documents["id"].slice(first, last - first).combine_chunks())
        starts.append(begins - part.skip + position)
        position += len(part_tokens)
    return TokenSpan(np.concatenate(tokens), pa.concat_arrays(ids), np.concatenate(starts))


def _names(stem: str) -> tuple[str, str]:
    return f"{stem}.tokens", f"{stem}.documents"
