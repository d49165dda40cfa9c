"""Softmax and cross-entropy of a chunk of logits, whose gradient replaces them. M rows, V pieces.

logits: M, V bf16; targets: M int64; losses: M fp32; scratch: parts, V fp32.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.models.cpu.bf16 import Bits, Floats, exp, narrow, rank, unranked, wide
from training.models.cpu.compiler import bare_inlined, loop

ZERO, ONE, TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)


@bare_inlined
def _capped(logit: np.float32, cap: np.float32) -> np.float32:
    """cap × tanh(logit / cap)."""
    return cap * (ONE - TWO / (exp(TWO * logit / cap) + ONE))


@loop
def softmax_loss(
    first: int,
    last: int,
    part: int,
    logits: Bits,
    targets: NDArray[np.int64],
    ignore: int,
    smoothing: np.float32,
    cap: np.float32,
    losses: Floats,
    scratch: Floats,
) -> None:
    """losses = -log of each target's probability; logits = their gradient. Rows whose target is `ignore` have neither.

    smoothing: the share of a target that is spread over all pieces. cap: 0, or logits become cap × tanh(logit / cap).
    """
    pieces = logits.shape[1]
    spread = smoothing / np.float32(pieces)
    for m in range(first, last):
        target = targets[m]
        if target == ignore:
            losses[m] = ZERO
            for v in range(pieces):
                logits[m, v] = np.uint16(0)
            continue
        highest = rank(logits[m, 0])
        for v in range(pieces):
            highest = max(highest, rank(logits[m, v]))
        largest = unranked(highest)
        target_logit = wide(logits[m, target])
        total, mean = ZERO, ZERO
        if cap > ZERO:
            largest, target_logit = _capped(largest, cap), _capped(target_logit, cap)
            for v in range(pieces):
                logit = _capped(wide(logits[m, v]), cap)
                mean += logit
                scratch[part, v] = exp(logit - largest)
                total += scratch[part, v]
        else:
            for v in range(pieces):
                scratch[part, v] = exp(wide(logits[m, v]) - largest)
                total += scratch[part, v]
            if smoothing > ZERO:
                for v in range(pieces):
                    mean += wide(logits[m, v])
        level = np.log(total) + largest
        mean = mean / np.float32(pieces)
        losses[m] = (ONE - smoothing) * (level - target_logit) + smoothing * (level - mean)
        inverse = ONE / total
        slope = ONE - target_logit * target_logit / (cap * cap) if cap > ZERO else ONE
        at_target = narrow((scratch[part, target] * inverse - spread - (ONE - smoothing)) * slope)
        if cap > ZERO:
            for v in range(pieces):
                logit = _capped(wide(logits[m, v]), cap) / cap
                logits[m, v] = narrow((scratch[part, v] * inverse - spread) * (ONE - logit * logit))
        else:
            for v in range(pieces):
                logits[m, v] = narrow(scratch[part, v] * inverse - spread)
        logits[m, target] = at_target


@loop
def add(first: int, last: int, part: int, total: Floats, more: Bits) -> None:
    """total += more. Both V, C; in one pass, where PyTorch first converts `more` to fp32 in memory."""
    for v in range(first, last):
        for c in range(total.shape[1]):
            total[v, c] += wide(more[v, c])
