"""Keyed random numbers: they depend on their purpose, never on the order in which they are drawn.

A number is a hash of (seed, step, place in the batch, purpose, index): the same at any number of workers, in any
micro-batch, before and after a resume, and nothing has to be saved. About 60 M numbers a second (numpy).
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def keys(seed: int, step: int, places: NDArray[np.int64]) -> Keys:
    """A key for each row of a batch; `places` are its rows' places in the batch of all workers."""
    start = mixed(np.array([seed % (1 << 64)], np.uint64) * _GOLDEN + np.uint64(step))
    return mixed(start ^ mixed(places.astype(np.uint64) * _GOLDEN))


def uniform(row_keys: Keys, count: int, purpose: str) -> NDArray[np.float64]:
    """`count` numbers in [0, 1) for each key: rows × count. Draws for different purposes are independent."""
    start = mixed(row_keys ^ mixed(np.array([zlib.crc32(purpose.encode())], np.uint64)))
    # splitmix64: a counter times the golden ratio, then the finaliser (Steele et al. 2014)
    counters = (np.arange(1, count + 1, dtype=np.uint64)) * _GOLDEN
    bits = mixed(start[:, None] + counters[None, :])
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def mixed(x: Keys) -> Keys:
    """The finaliser of splitmix64: every input bit reaches every output bit."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
