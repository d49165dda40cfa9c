"""The training tokens of several files as one array that can be read from any position.

`write_tokens` stores the tokens of a file of packed rows as a flat array (2 or 4 bytes a token); `TokenStream` reads
several such files as one. Packed rows are cut from documents laid end to end, so a sentence continues over the end of a
row.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.files import replacing
from pipeline.core.shards import batches
from pipeline.kernels.cooccurrence import BORDER

TokenArray = NDArray[Any]

# tokens read at a time when looking for the words before a position
LOOK_BACK = 1 << 12


def write_tokens(rows: Path, flat: Path, *, vocabulary: int) -> NDArray[np.int64]:
    """Store the rows of a Parquet file as a flat array; returns the number of occurrences of each token."""
    counts = np.zeros(vocabulary, np.int64)
    flat.parent.mkdir(parents=True, exist_ok=True)
    with replacing(flat) as beside, beside.open("wb") as stream:
        for table in batches(rows, ["tokens"]):
            tokens = table["tokens"].combine_chunks().flatten().to_numpy()
            counts += np.bincount(tokens, minlength=vocabulary)
            stream.write(tokens.astype(token_dtype(vocabulary), copy=False).data)
    return counts


def token_dtype(vocabulary: int) -> np.dtype[Any]:
    return np.dtype(np.uint16 if vocabulary <= 1 << 16 else np.uint32)


class TokenStream:
    """Several flat files as one array; nothing is kept open or in memory."""

    def __init__(self, files: Sequence[Path], *, vocabulary: int) -> None:
        self.files = list(files)
        self.dtype = token_dtype(vocabulary)
        sizes = [path.stat().st_size // self.dtype.itemsize for path in files]
        self.starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def read(self, first: int, last: int) -> TokenArray:
        """The tokens [first, last)."""
        chunks = [np.empty(0, self.dtype)]
        for file in range(int(np.searchsorted(self.starts, first, side="right")) - 1, len(self.files)):
            start, end = int(self.starts[file]), int(self.starts[file + 1])
            if start >= last:
                break
            begin, stop = max(first, start), min(last, end)
            offset = (begin - start) * self.dtype.itemsize
            chunks.append(np.fromfile(self.files[file], self.dtype, stop - begin, offset=offset))
        return np.concatenate(chunks)

    def before(self, place: int, numbers: NDArray[np.int32], *, window: int) -> NDArray[np.int32]:
        """The numbers of the last words before `place`, at most `window`, none from before a sentence border."""
        word_blocks = [np.empty(0, np.int32)]
        word_count = 0
        while place > 0 and word_count < window:
            numbers_before = numbers[self.read(max(0, place - LOOK_BACK), place)]
            place = max(0, place - LOOK_BACK)
            borders = np.flatnonzero(numbers_before == BORDER)
            numbers_before = numbers_before[borders[-1] + 1 :] if len(borders) else numbers_before
            word_blocks.append(numbers_before[numbers_before >= 0])
            word_count += len(word_blocks[-1])
            if len(borders):
                break
        return np.concatenate(word_blocks[::-1])[-window:]
