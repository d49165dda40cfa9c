"""The peer of bench_training: a GPT and a step as one writes them by hand, of PyTorch's parts and nothing of ours.

Two shapes: GPT-2 (layer norm, learned positions, GELU, bias) and Llama (RMS norm, rotary positions, SwiGLU). bf16 by
autocast, scaled_dot_product_attention, cross_entropy over all logits, clipping, fused AdamW.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn


class Block(nn.Module):
    """Attention (B, T, C in and out) and MLP, each added to the stream."""

    def __init__(self, shape: str, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        bias, norm = shape == "gpt2", nn.LayerNorm if shape == "gpt2" else nn.RMSNorm
        self.heads, self.shape = heads, shape
        self.first_norm, self.second_norm = norm(width), norm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)
        self.up = nn.Linear(width, hidden, bias=bias)
        self.gate = nn.Linear(width, hidden, bias=False) if shape == "llama" else None
        self.down = nn.Linear(hidden, width, bias=bias)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        B, T, C = x.shape
        parts = self.qkv(self.first_norm(x)).view(B, T, 3, self.heads, C // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        if self.shape == "llama":
            q, k = rotated(q, cos, sin), rotated(k, cos, sin)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(B, T, C))
        normed = self.second_norm(x)
        y = self.up(normed)
        y = F.gelu(y) if self.gate is None else F.silu(self.gate(normed)) * y
        added: Tensor = x + self.down(y)
        return added


class Gpt(nn.Module):
    """Logits of every position; the head shares the embedding's weights."""

    cos: Tensor
    sin: Tensor

    def __init__(
        self, shape: str, *, layers: int, heads: int, width: int, hidden: int, vocabulary: int, context: int
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width) if shape == "gpt2" else None
        self.blocks = nn.ModuleList(Block(shape, width, heads, hidden) for _ in range(layers))
        self.norm = nn.LayerNorm(width) if shape == "gpt2" else nn.RMSNorm(width)
        turns = 10000.0 ** (-torch.arange(0, width // heads, 2) / (width // heads))
        angles = torch.outer(torch.arange(context), turns)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, 0.0, 0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        if self.positions is not None:
            x = x + self.positions.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x, self.cos[: tokens.shape[1]], self.sin[: tokens.shape[1]])
        return F.linear(self.norm(x), self.embed.weight)


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions on B, H, T, D."""
    left, right = x.chunk(2, dim=-1)
    return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1).type_as(x)


def stepper(model: Gpt, rows: NDArray[np.uint16], *, batch_rows: int, bf16: bool) -> Callable[[int], float]:
    """step(number) → loss."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)

    def step(number: int) -> float:
        first = number * batch_rows % len(rows)
        tokens = torch.from_numpy(rows[first : first + batch_rows].astype(np.int64))
        targets = torch.roll(tokens, -1, dims=1)  # rows of even length are faster than rows cut by one
        targets[:, -1] = -100
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return step
