"""Megatron-LM: NAME.bin, the tokens end to end, and NAME.idx, where each sequence lies: each document is one sequence.

The index is version 1 of `megatron/core/datasets/indexed_dataset.py`, all little-endian:
"MMIDIDX\\0\\0", version (uint64), code of the type of a token (uint8), S sequences and D + 1 documents (uint64), then
S lengths in tokens (int32), S offsets in bytes (int64), and the D + 1 numbers of the sequences at which documents begin
(int64). Tokens are uint16 where the vocabulary is below 65,500, otherwise int32, as its `DType.optimal_dtype` has it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.core.shards import FileEntry, HashingFile
from pipeline.token_formats.base import PackedSplit, TokenFormat, WrittenSplit, hashed_file
from pipeline.token_formats.whole_documents import OpenDocument, document_batches

HEADER = b"MMIDIDX\x00\x00"
VERSION = 1
CODES = {"int32": 4, "uint16": 8}  # of the types that a token may have
UINT16_TOKENS = 65_500
BLOCK = 1 << 20  # sequences of the index that are in memory at once


class MegatronFiles(TokenFormat):
    """An indexed dataset for each split. Memory: a row group; of rows by best fit, a shard (8 M tokens)."""

    USAGE: ClassVar[str] = "--data-path {folder}/train (also {folder}/validation)"

    def dtype(self) -> np.dtype[np.integer]:
        return np.dtype("<u2" if self.vocabulary < UINT16_TOKENS else "<i4")

    def write(self, split: PackedSplit, folder: Path) -> WrittenSplit:
        written = WrittenSplit(sequences=0)
        lengths_path = folder / f"{split.name}.lengths"
        document = OpenDocument()
        with hashed_file(folder, f"{split.name}.bin", written.files) as target, lengths_path.open("wb") as lengths:
            for batch in document_batches(split):
                target.write(np.ascontiguousarray(batch.tokens, self.dtype()).view(np.uint8).data)
                lengths.write(document.closed_by(batch).astype("<i4").tobytes())
                written.rows += batch.rows
                written.tokens += len(batch.tokens)
            lengths.write(document.close().astype("<i4").tobytes())
        written.sequences = lengths_path.stat().st_size // 4
        self._write_index(lengths_path, folder, f"{split.name}.idx", written.files)
        lengths_path.unlink()
        return written

    def _write_index(self, lengths_path: Path, folder: Path, name: str, files: list[FileEntry]) -> None:
        """The index, in blocks, from the lengths: it does not fit into memory where there are billions of documents."""
        sequences = lengths_path.stat().st_size // 4
        size = self.dtype().itemsize
        with hashed_file(folder, name, files) as index:
            index.write(HEADER + struct.pack("<QBQQ", VERSION, CODES[self.dtype().name], sequences, sequences + 1))
            for lengths in _blocks(lengths_path):
                index.write(lengths.tobytes())
            offset = 0
            for lengths in _blocks(lengths_path):
                ends = offset + np.cumsum(lengths, dtype=np.int64) * size
                index.write((ends - lengths.astype(np.int64) * size).astype("<i8").tobytes())
                offset = int(ends[-1])
            _write_range(index, sequences + 1)


def _blocks(path: Path) -> Iterator[NDArray[np.int32]]:
    with path.open("rb") as stream:
        while data := stream.read(4 * BLOCK):
            yield np.frombuffer(data, "<i4")


def _write_range(index: HashingFile, end: int) -> None:
    for first in range(0, end, BLOCK):
        index.write(np.arange(first, min(first + BLOCK, end), dtype="<i8").tobytes())
