"""From the products of query, key and value side by side to heads, normalised and rotated; and back.

B rows, T tokens, H heads of queries, K of keys and of values, D width of a head; N = B × T.
joined: N, (H + 2 K) × D; q: B, H, T, D; k, v: B, K, T, D, all bf16. cos, sin: T, D / 2 fp32, no rows where positions
are not rotary. Where `normed`, weights: 2, D fp32 (of queries, of keys), and inverse: N, H + K, one over a head's root
mean square.
"""

from __future__ import annotations

import numpy as np

from training.models.cpu.bf16 import Bits, Floats, narrow, wide
from training.models.cpu.compiler import bare_inlined, loop

ZERO, ONE = np.float32(0.0), np.float32(1.0)


@bare_inlined
def _rotate(left: Bits, right: Bits, scale: np.float32, weight: Floats, cos: Floats, sin: Floats, target: Bits) -> None:
    """target = a head's halves times scale and weight, rotated by the angles of its position."""
    half = left.shape[0]
    first, second = target[:half], target[half:]
    before, after = weight[:half], weight[half:]
    # one array written a loop: only then is it vectorised
    for d in range(half):
        first[d] = narrow(scale * (wide(left[d]) * before[d] * cos[d] - wide(right[d]) * after[d] * sin[d]))
    for d in range(half):
        second[d] = narrow(scale * (wide(right[d]) * after[d] * cos[d] + wide(left[d]) * before[d] * sin[d]))


@bare_inlined
def _rotate_back(source: Bits, cos: Floats, sin: Floats, target: Bits) -> None:
    """The gradient of a head before its rotation."""
    half = source.shape[0] // 2
    left, right, first, second = source[:half], source[half:], target[:half], target[half:]
    for d in range(half):
        first[d] = narrow(wide(left[d]) * cos[d] + wide(right[d]) * sin[d])
    for d in range(half):
        second[d] = narrow(wide(right[d]) * cos[d] - wide(left[d]) * sin[d])


@loop
def split(
    first: int,
    last: int,
    part: int,
    joined: Bits,
    q: Bits,
    k: Bits,
    v: Bits,
    cos: Floats,
    sin: Floats,
    weights: Floats,
    normed: bool,
    eps: np.float32,
    inverse: Floats,
) -> None:
    """Fill q, k and v from joined."""
    heads, length, width = q.shape[1:]
    kv_heads, half = k.shape[1], width // 2
    rotated = cos.shape[0] > 0
    for n in range(first, last):
        b, t = n // length, n % length
        for h in range(heads + 2 * kv_heads):
            source = joined[n, h * width : (h + 1) * width]
            if h >= heads + kv_heads:
                target = v[b, h - heads - kv_heads, t]
            else:
                target = q[b, h, t] if h < heads else k[b, h - heads, t]
            scale = ONE
            if normed and h < heads + kv_heads:
                squares = ZERO
                for d in range(width):
                    squares += wide(source[d]) * wide(source[d])
                scale = ONE / np.sqrt(squares / np.float32(width) + eps)
                inverse[n, h] = scale
            weight = weights[0] if h < heads else weights[1]
            if h >= heads + kv_heads or not (rotated or normed):
                for d in range(width):
                    target[d] = source[d]
            elif rotated:
                _rotate(source[:half], source[half:], scale, weight, cos[t], sin[t], target)
            else:
                for d in range(width):
                    target[d] = narrow(wide(source[d]) * scale * weight[d])


@loop
def split_backward(
    first: int,
    last: int,
    part: int,
    joined: Bits,
    for_q: Bits,
    for_k: Bits,
    for_v: Bits,
    cos: Floats,
    sin: Floats,
    weights: Floats,
    normed: bool,
    inverse: Floats,
    for_joined: Bits,
    for_weights: Floats,
) -> None:
    """The gradient of joined, and each part's sums for weights: parts, 2, D."""
    heads, length, width = for_q.shape[1:]
    kv_heads = for_k.shape[1]
    rotated = cos.shape[0] > 0
    for n in range(first, last):
        b, t = n // length, n % length
        for h in range(heads + 2 * kv_heads):
            if h >= heads + kv_heads:
                source = for_v[b, h - heads - kv_heads, t]
            else:
                source = for_q[b, h, t] if h < heads else for_k[b, h - heads, t]
            target = for_joined[n, h * width : (h + 1) * width]
            if rotated and h < heads + kv_heads:
                _rotate_back(source, cos[t], sin[t], target)
            else:
                for d in range(width):
                    target[d] = source[d]
            if normed and h < heads + kv_heads:
                kind = 0 if h < heads else 1
                values = joined[n, h * width : (h + 1) * width]
                _normalize_back(values, inverse[n, h], weights[kind], for_weights[part, kind], target)


@bare_inlined
def _normalize_back(values: Bits, scale: np.float32, weight: Floats, sums: Floats, target: Bits) -> None:
    """From the gradient of a normalised head to that of the head, in target; adds that of the weight to sums."""
    width = values.shape[0]
    along = ZERO
    for d in range(width):
        along += wide(target[d]) * weight[d] * wide(values[d]) * scale
    along = along / np.float32(width)
    for d in range(width):
        sums[d] += wide(target[d]) * wide(values[d]) * scale
    for d in range(width):
        target[d] = narrow(scale * (wide(target[d]) * weight[d] - wide(values[d]) * scale * along))
