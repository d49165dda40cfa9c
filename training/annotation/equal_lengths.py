"""Batches without padding: windows of one length, in their order. Padding would change a score's last bits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def equal_length_batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[Ints]:
    """The indices of windows of one length, at most `batch_tokens` tokens in a batch (one window may be longer).

    Every window is in one batch. The batches follow from the lengths alone, the shortest first.
    """
    order = np.argsort(np.asarray(lengths, np.int64), kind="stable")
    ordered = np.asarray(lengths, np.int64)[order]
    for group in np.split(order, np.flatnonzero(np.diff(ordered)) + 1):
        if len(group):
            rows = max(1, batch_tokens // max(1, lengths[int(group[0])]))
            yield from (group[first : first + rows] for first in range(0, len(group), rows))


def weighted_means(values: Sequence[float], weights: Sequence[float], documents: Sequence[int], count: int) -> Floats:
    """The mean over the windows of each of `count` documents; NaN for a document without any."""
    sums, totals = np.zeros(count), np.zeros(count)
    # in the order of the windows, so that the sums are the same bits however they were batched
    np.add.at(sums, documents, np.asarray(values, np.float64) * np.asarray(weights, np.float64))
    np.add.at(totals, documents, weights)
    with np.errstate(invalid="ignore"):
        return sums / totals
