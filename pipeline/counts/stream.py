"""The training tokens as one flat stream over several files, to be read from anywhere.

`write` stores the tokens of a file of packed rows as a flat array (2 or 4 bytes a token); `TokenStream` reads several
such files as one. Packed rows are cut from documents laid end to end, so a sentence continues over the end of a row.
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

# looked at together while the words before a place are sought
LOOK_BACK = 1 << 12


def write(rows: Path, flat: Path, *, vocabulary: int) -> NDArray[np.int64]:
    """Lay the rows of a Parquet file down flat; returns how often each token is in them."""
    counts = np.zeros(vocabulary, np.int64)
    flat.parent.mkdir(parents=True, exist_ok=True)
    with replacing(flat) as beside, beside.open("wb") as stream:
        for table in batches(rows, ["tokens"]):
            tokens = table["tokens"].combine_chunks().flatten().to_numpy()
            counts += np.bincount(tokens, minlength=vocabulary)
            stream.write(tokens.astype(dtype(vocabulary), copy=False).data)
    return counts


def dtype(vocabulary: int) -> np.dtype[Any]:
    return np.dtype(np.uint16 if vocabulary <= 1 << 16 else np.uint32)


class TokenStream:
    """Flat files laid end to end. Nothing is held open or in memory."""

    def __init__(self, files: Sequence[Path], *, vocabulary: int) -> None:
        self.files, self.dtype = list(files), dtype(vocabulary)
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
        """The numbers of the last words before `place`, at most `window`, none from beyond a border."""
        words, held = [np.empty(0, np.int32)], 0
        while place > 0 and held < window:
            nearest = numbers[self.read(max(0, place - LOOK_BACK), place)]
            place = max(0, place - LOOK_BACK)
            borders = np.flatnonzero(nearest == BORDER)
            nearest = nearest[borders[-1] + 1 :] if len(borders) else nearest
            words.append(nearest[nearest >= 0])
            held += len(words[-1])
            if len(borders):
                break
        return np.concatenate(words[::-1])[-window:]
