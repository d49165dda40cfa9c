"""Which rows a step sees: computed from (seed, step), never stored, the same at any number of workers.

`shuffled`: rows are read in a new order each epoch, a keyed permutation of their numbers; a batch may span two epochs.
`streams`, for models that carry a state from row to row: place b of every batch reads its own stretch of S consecutive
rows, one a step, and restarts it each epoch; the last rows, fewer than a batch, are left out. So the position of a run
in its data is one integer, the step. Cost: about 1 us a row (numpy), no memory.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import UserError
from training.families import Order

# rounds of the permutation: four make it look random (Luby and Rackoff 1988), two more serve very small numbers of rows
ROUNDS = 6


def rows_of_step(step: int, *, rows: int, batch_rows: int, seed: int, order: Order = "shuffled") -> NDArray[np.int64]:
    """The global row numbers of step `step` (counted from 0), in the order of the batch."""
    if order == "streams":
        stream_length = stream_rows(rows, batch_rows)
        return np.arange(batch_rows) * stream_length + step % stream_length
    first = step * batch_rows
    numbers = np.empty(batch_rows, np.int64)
    for epoch in range(first // rows, (first + batch_rows - 1) // rows + 1):
        low, high = max(first, epoch * rows), min(first + batch_rows, (epoch + 1) * rows)
        places = np.arange(low - epoch * rows, high - epoch * rows)
        numbers[low - first : high - first] = permuted(places, size=rows, seed=seed, epoch=epoch)
    return numbers


def stream_rows(rows: int, batch_rows: int) -> int:
    """How many rows each stream of a batch holds.

    Raises: UserError when there are fewer rows than streams.
    """
    if rows < batch_rows:
        raise UserError(
            f"pretrain.batch_tokens: a batch is {batch_rows:,} streams and there are {rows:,} rows of training tokens. "
            "Lower batch_tokens or pack.length."
        )
    return rows // batch_rows


def share(numbers: NDArray[np.int64], *, rank: int, worker_rows: int) -> NDArray[np.int64]:
    """A worker's contiguous part of a batch: `worker_rows` row numbers, -1 (an empty row) beyond the batch's last."""
    own = numbers[rank * worker_rows : (rank + 1) * worker_rows]
    return np.concatenate([own, np.full(worker_rows - len(own), -1)])


def fingerprint(numbers: NDArray[np.int64]) -> str:
    """The batch in 16 hex digits: first of sha256 over its row numbers as little-endian int64."""
    return hashlib.sha256(np.ascontiguousarray(numbers, "<i8").tobytes()).hexdigest()[:16]


def permuted(places: NDArray[np.int64], *, size: int, seed: int, epoch: int, of: str = "") -> NDArray[np.int64]:
    """The values of a permutation of range(size), keyed by (seed, epoch) and what it is `of`, at these places.

    A Feistel network permutes the next power of four; a value outside the range is permuted again until it is
    inside, which keeps it a permutation (Black and Rogaway 2002).
    """
    half = max(1, (int(size - 1).bit_length() + 1) // 2)
    keys = _keys(seed, epoch, of)
    values = _feistel(places.astype(np.uint64), keys, half)
    while (outside := values >= size).any():
        values[outside] = _feistel(values[outside], keys, half)
    return values.astype(np.int64)


def _keys(seed: int, epoch: int, of: str) -> NDArray[np.uint64]:
    digest = hashlib.sha512(f"rows {seed} {epoch}{of and f' {of}'}".encode()).digest()
    return np.frombuffer(digest, "<u8").astype(np.uint64)[:ROUNDS]


def _feistel(x: NDArray[np.uint64], keys: NDArray[np.uint64], half: int) -> NDArray[np.uint64]:
    shift, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = x >> shift, x & mask
    for key in keys:
        left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << shift) | right


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele et al. 2014): every input bit reaches every output bit."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
