"""Root mean square and layer normalisation of a sum, forward and backward: one pass over memory each.

In loops: N rows, C width. x, total: N, C fp32; added, normed: N, C bf16; weight, bias: C fp32; inverse: N, one over the
row's root mean square (or standard deviation); mean: N. `centred`: layer norm, else mean is 0 and bias not read.
"""

from __future__ import annotations

import numpy as np

from training.models.cpu.bf16 import Bits, Floats, narrow, wide
from training.models.cpu.compiler import loop

ZERO, ONE = np.float32(0.0), np.float32(1.0)


@loop
def normalize(
    first: int,
    last: int,
    part: int,
    x: Floats,
    added: Bits,
    has_added: bool,
    weight: Floats,
    bias: Floats,
    centred: bool,
    eps: np.float32,
    total: Floats,
    normed: Bits,
    inverse: Floats,
    mean: Floats,
) -> None:
    """total = x + added; normed = (total - mean) × inverse × weight + bias. 2.5 GB a CPU-second at width 256."""
    width = x.shape[1]
    count = np.float32(width)
    for n in range(first, last):
        if has_added:
            for c in range(width):
                total[n, c] = x[n, c] + wide(added[n, c])
        middle = ZERO
        if centred:
            for c in range(width):
                middle += total[n, c]
            middle = middle / count
        squares = ZERO
        for c in range(width):
            squares += (total[n, c] - middle) * (total[n, c] - middle)
        scale = ONE / np.sqrt(squares / count + eps)
        inverse[n] = scale
        mean[n] = middle
        if centred:
            for c in range(width):
                normed[n, c] = narrow((total[n, c] - middle) * scale * weight[c] + bias[c])
        else:
            for c in range(width):
                normed[n, c] = narrow(total[n, c] * scale * weight[c])


@loop
def normalize_backward(
    first: int,
    last: int,
    part: int,
    total: Floats,
    inverse: Floats,
    mean: Floats,
    weight: Floats,
    centred: bool,
    for_normed: Bits,
    for_total: Floats,
    has_total: bool,
    for_x: Floats,
    for_added: Bits,
    has_added: bool,
    for_weight: Floats,
    for_bias: Floats,
) -> None:
    """The gradients of x (fp32) and added (bf16, the same), and each part's sums for weight and bias: parts, C.

    for_total: N, C fp32, the gradient that the sum itself has (the residual stream), if `has_total`.
    """
    width = total.shape[1]
    count = np.float32(width)
    for n in range(first, last):
        scale = inverse[n]
        middle = mean[n]
        along = ZERO
        level = ZERO
        for c in range(width):
            gradient = wide(for_normed[n, c])
            unit = (total[n, c] - middle) * scale
            along += gradient * weight[c] * unit
            level += gradient * weight[c]
            for_weight[part, c] += gradient * unit
        along = along / count
        level = level / count if centred else ZERO
        if centred:
            for c in range(width):
                for_bias[part, c] += wide(for_normed[n, c])
        for c in range(width):
            unit = (total[n, c] - middle) * scale
            gradient = scale * (wide(for_normed[n, c]) * weight[c] - level - unit * along)
            if has_total:
                gradient += for_total[n, c]
            for_x[n, c] = gradient
        if has_added:
            for c in range(width):
                for_added[n, c] = narrow(for_x[n, c])
