"""A ratio of sums over documents (nats per token, bits per byte) and its confidence interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

NORMAL_95 = 1.959963984540054


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """sum / sum; each sum is rounded once (fsum), so its order and how the work is split change no bit."""
    return math.fsum(numerators) / math.fsum(denominators)


def interval(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of `ratio` over another draw of documents: the linearised variance of a ratio of means
    (Cochran, Sampling Techniques, §6.3). None with fewer than two documents; rough with fewer than about thirty."""
    n = len(numerators)
    if n < 2:
        return None
    value, total = ratio(numerators, denominators), math.fsum(denominators)
    squares = math.fsum((a - value * b) ** 2 for a, b in zip(numerators, denominators, strict=True))
    half = NORMAL_95 * math.sqrt(n / (n - 1) * squares) / total
    return value - half, value + half
