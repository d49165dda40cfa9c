"""Causal attention on a CPU in bf16: heads cut from one product, rotated, and attended by blocks that stay in a cache.

Scores are never stored: the backward pass multiplies queries and keys again (as FlashAttention does, Dao et al. 2022,
arXiv 2205.14135). Of keys that no row of a block sees, none is multiplied.

Shapes: B rows, T tokens, H heads of queries, K of keys and values, D their width; n = B × K, G = H / K queries a key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function

from training.models.cpu import heads, rows, softmax
from training.models.cpu_kernels import BF16, FunctionContext

BLOCK = 256  # tokens whose queries are multiplied at once
SCORES = 1 << 18  # scores at once: 512 kB in bf16, twice that backward, of a cache of 1 to 2 MB a core


@dataclass(frozen=True)
class HeadOptions:
    """How joined products become heads. cos, sin: at least T, D / 2 fp32, contiguous; None where positions are not
    rotary. eps: of the norms of queries and keys, if there are any."""

    heads: int
    kv_heads: int
    width: int
    cos: Tensor | None
    sin: Tensor | None
    eps: float


def split_heads(
    joined: Tensor, options: HeadOptions, norms: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor, Tensor]:
    """joined: B, T, (H + 2 K) × D. Returns q: B, H, T, D, and k and v: B, K, T, D."""
    query_norm, key_norm = norms or (None, None)
    parts = _SplitHeads.apply(joined, options, query_norm, key_norm)  # type: ignore[no-untyped-call]
    return cast("tuple[Tensor, Tensor, Tensor]", parts)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention. q: B, H, T, D; k, v: B, K, T, D; returns B, T, H × D. All in bf16."""
    return cast(Tensor, _Attend.apply(q, k, v))  # type: ignore[no-untyped-call]


class _SplitHeads(Function):
    """See `split_heads`; with norms, their weights have fp32 gradients."""

    @staticmethod
    def forward(
        ctx: FunctionContext, joined: Tensor, options: HeadOptions, query_norm: Tensor | None, key_norm: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        B, T, _ = joined.shape
        H, K, D = options.heads, options.kv_heads, options.width
        joined = joined.to(BF16).contiguous()
        q, k, v = (joined.new_empty(B, count, T, D) for count in (H, K, K))
        norms = [weight for weight in (query_norm, key_norm) if weight is not None]
        normed = bool(norms)
        weights = torch.stack(norms).float() if normed else torch.ones(2, D)
        inverse = torch.empty((B * T, H + K) if normed else (0, 0))
        rows.run(
            heads.split, B * T, rows.bits(joined.view(B * T, -1)), rows.bits(q), rows.bits(k), rows.bits(v),
            *_angles(options, T), rows.floats(weights), normed, np.float32(options.eps), rows.floats(inverse),
        )  # fmt: skip
        ctx.options, ctx.normed = options, normed
        ctx.save_for_backward(weights, inverse, *([joined] if normed else []))
        return q, k, v

    @staticmethod
    def backward(ctx: FunctionContext, *gradients: Tensor) -> tuple[Tensor, None, Tensor | None, Tensor | None]:
        for_q, for_k, for_v = (gradient.to(BF16).contiguous() for gradient in gradients)
        weights, inverse, *saved = ctx.saved_tensors
        B, H, T, D = for_q.shape
        for_joined = for_q.new_empty(B, T, (H + 2 * for_k.shape[1]) * D)
        flat = for_joined.view(B * T, -1)
        joined = saved[0].view(B * T, -1) if saved else flat[:0]
        for_weights = torch.zeros(rows.parts(B * T), 2, D)
        rows.run(
            heads.split_backward, B * T, rows.bits(joined), rows.bits(for_q), rows.bits(for_k), rows.bits(for_v),
            *_angles(ctx.options, T), rows.floats(weights), ctx.normed, rows.floats(inverse), rows.bits(flat),
            rows.floats(for_weights),
        )  # fmt: skip
        if not ctx.normed:
            return for_joined, None, None, None
        for_query_norm, for_key_norm = for_weights.sum(0)
        return for_joined, None, for_query_norm, for_key_norm


class _Attend(Function):
    """See `attend`; saves its inputs and the log of each row's sum (n, G, T fp32)."""

    @staticmethod
    def forward(ctx: FunctionContext, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        B, H, T, D = q.shape
        queries, keys, values = _by_key(q, k), k.reshape(-1, T, D), v.reshape(-1, T, D)
        mixed, levels = torch.empty_like(queries), torch.empty(queries.shape[:3])
        for block in _blocks(queries):
            scores = block.of(queries) @ block.seen(keys).transpose(1, 2)
            block.put(levels, block.softmax(softmax.causal_softmax, scores))
            block.put(mixed, scores @ block.seen(values))
        ctx.save_for_backward(q, k, v, levels)
        return mixed.view(B, H, T, D).transpose(1, 2).reshape(B, T, H * D)

    @staticmethod
    def backward(ctx: FunctionContext, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v, levels = ctx.saved_tensors
        B, H, T, D = q.shape
        for_mixed = _by_key(gradient.to(BF16).view(B, T, H, D).transpose(1, 2), k)
        queries, keys, values = _by_key(q, k), k.reshape(-1, T, D), v.reshape(-1, T, D)
        for_q = torch.empty_like(queries)
        # of keys that several blocks see, the gradient is a sum, which is in fp32
        for_k, for_v = (torch.zeros(keys.shape, dtype=BF16 if T <= BLOCK else torch.float32) for _ in range(2))
        for block in _blocks(queries):
            block_q, block_gradient = block.of(queries), block.of(for_mixed)
            weights = block_q @ block.seen(keys).transpose(1, 2)
            for_scores = block_gradient @ block.seen(values).transpose(1, 2)
            block.softmax(softmax.causal_softmax_backward, weights, for_scores, block.of(levels))
            block.put(for_q, for_scores @ block.seen(keys))
            block.add(for_k, for_scores.transpose(1, 2) @ block_q)
            block.add(for_v, weights.transpose(1, 2) @ block_gradient)
        return for_q.view(q.shape), for_k.to(BF16).view(k.shape), for_v.to(BF16).view(v.shape)


@dataclass(frozen=True)
class _Block:
    """Rows `start` to `stop` of the heads of keys `low` to `high`; they see the keys 0 to stop - 1. width: D."""

    low: int
    high: int
    start: int
    stop: int
    width: int

    def of(self, tensor: Tensor) -> Tensor:
        """This block of queries (n, G, T, D, or without D): as many heads, G × rows, D."""
        part = tensor[self.low : self.high, :, self.start : self.stop]
        return part.reshape(len(part), -1, *tensor.shape[3:])

    def put(self, tensor: Tensor, part: Tensor) -> None:
        """Set this block of `tensor`."""
        place = tensor[self.low : self.high, :, self.start : self.stop]
        place.copy_(part.view(place.shape))

    def seen(self, tensor: Tensor) -> Tensor:
        """The keys or values (n, T, D) that the block sees."""
        return tensor[self.low : self.high, : self.stop]

    def add(self, tensor: Tensor, part: Tensor) -> None:
        """Add to the keys or values that the block sees; in bf16 it is the only block that does."""
        place = self.seen(tensor)
        if tensor.dtype == BF16:
            place.copy_(part)
        else:
            place.add_(part)

    def softmax(
        self, loop: rows.Loop, scores: Tensor, for_weights: Tensor | None = None, levels: Tensor | None = None
    ) -> Tensor:
        """Run a loop of cpu/softmax.py on scores; returns the log of each row's sum."""
        count, length = scores.shape[0] * scores.shape[1], scores.shape[2]
        levels = torch.empty(count) if levels is None else levels.reshape(count).contiguous()
        more = [] if for_weights is None else [rows.bits(for_weights.view(count, length))]
        scratch = torch.empty(rows.parts(count), length)
        rows.run(
            loop, count, rows.bits(scores.view(count, length)), *more, self.stop - self.start, self.start,
            np.float32(self.width**-0.5), rows.floats(levels), rows.floats(scratch),
        )  # fmt: skip
        return levels


def _by_key(q: Tensor, k: Tensor) -> Tensor:
    """Queries by the key that they share: n, G, T, D."""
    B, K, T, D = k.shape
    return q.reshape(B * K, q.shape[1] // K, T, D)


def _blocks(queries: Tensor) -> Iterator[_Block]:
    n, G, T, D = queries.shape
    for start in range(0, T, BLOCK):
        stop = min(start + BLOCK, T)
        heads_at_once = max(1, SCORES // (G * (stop - start) * stop))
        for low in range(0, n, heads_at_once):
            yield _Block(low, min(low + heads_at_once, n), start, stop, D)


def _angles(options: HeadOptions, length: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """cos and sin of the first positions; without rows where there are none."""
    if options.cos is None or options.sin is None:
        none = np.zeros((0, 0), np.float32)
        return none, none
    return rows.floats(options.cos[:length]), rows.floats(options.sin[:length])
