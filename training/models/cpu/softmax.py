"""The softmax of causal attention and its gradient, in place, on a block of scores that fits a core's cache.

A block is n × R rows of S scores (bf16): R consecutive tokens of each of n heads, the first of them token `start`,
against tokens 0 to S - 1. Row r sees tokens 0 to start + r. scratch: parts, S fp32.
"""

from __future__ import annotations

import numpy as np

from training.models.cpu.bf16 import Bits, Floats, exp, narrow, rank, unranked, wide
from training.models.cpu.compiler import loop

ZERO, ONE = np.float32(0.0), np.float32(1.0)


@loop
def causal_softmax(
    first: int,
    last: int,
    part: int,
    scores: Bits,
    rows: int,
    start: int,
    scale: np.float32,
    levels: Floats,
    scratch: Floats,
) -> None:
    """scores = softmax(scores × scale), 0 where a row does not see; levels = the log of each row's sum (n × R fp32)."""
    for i in range(first, last):
        seen = start + i % rows + 1
        row = scores[i]
        highest = rank(row[0])
        for s in range(seen):
            highest = max(highest, rank(row[s]))
        largest = unranked(highest) * scale
        total = ZERO
        for s in range(seen):
            scratch[part, s] = exp(wide(row[s]) * scale - largest)
            total += scratch[part, s]
        levels[i] = np.log(total) + largest
        inverse = ONE / total
        for s in range(seen):
            row[s] = narrow(scratch[part, s] * inverse)
        for s in range(seen, scores.shape[1]):
            row[s] = np.uint16(0)


@loop
def causal_softmax_backward(
    first: int,
    last: int,
    part: int,
    scores: Bits,
    for_weights: Bits,
    rows: int,
    start: int,
    scale: np.float32,
    levels: Floats,
    scratch: Floats,
) -> None:
    """scores = the softmax again; for_weights (its gradient) = the gradient of the scores before scaling."""
    for i in range(first, last):
        seen = start + i % rows + 1
        row, gradient, level = scores[i], for_weights[i], levels[i]
        along = ZERO
        for s in range(seen):
            scratch[part, s] = exp(wide(row[s]) * scale - level)
            along += scratch[part, s] * wide(gradient[s])
        for s in range(seen):
            gradient[s] = narrow(scratch[part, s] * (wide(gradient[s]) - along) * scale)
            row[s] = narrow(scratch[part, s])
        for s in range(seen, scores.shape[1]):
            row[s] = np.uint16(0)
            gradient[s] = np.uint16(0)
