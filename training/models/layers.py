"""The layers of transformers, each for one device: parallelism is applied from outside, by the engines.

In tensor code: B rows, T tokens a row, C width, H heads, D width of a head.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.models import chunked_loss, cpu_attention, cpu_kernels
from training.models.document_mask import DocumentMask

IGNORE = -100
EPS = 1e-6
# longest row for which explicit products beat the fused kernel on a CPU
SHORT = 512


class KernelLinear(nn.Linear):
    """nn.Linear with the CPU kernel where it applies."""

    def forward(self, x: Tensor) -> Tensor:
        if cpu_kernels.applies_to(x):
            return cpu_kernels.linear(x, [self.weight], [self.bias])
        return F.linear(x, self.weight, self.bias)


class RmsNorm(nn.Module):
    """Root mean square normalisation (Zhang and Sennrich 2019, arXiv 1910.07467)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        if cpu_kernels.applies_to(x):
            return cpu_kernels.normalized(x, self.weight, None, EPS)
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), EPS)

    def of_sum(self, x: Tensor, added: Tensor | None) -> tuple[Tensor, Tensor]:
        """x + added, the residual stream, and its norm."""
        if cpu_kernels.applies_to(x):
            return cpu_kernels.normalized_sum(x, added, self.weight, None, EPS)
        x = x if added is None else x + added
        return x, self(x)


class LayerNorm(nn.Module):
    """Layer normalisation with scale and shift, as in GPT-2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        if cpu_kernels.applies_to(x):
            return cpu_kernels.normalized(x, self.weight, self.bias, EPS)
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, EPS)

    def of_sum(self, x: Tensor, added: Tensor | None) -> tuple[Tensor, Tensor]:
        """x + added, the residual stream, and its norm."""
        if cpu_kernels.applies_to(x):
            return cpu_kernels.normalized_sum(x, added, self.weight, self.bias, EPS)
        x = x if added is None else x + added
        return x, self(x)


class Rope(nn.Module):
    """Rotary positions (Su et al. 2021, arXiv 2104.09864), with the halves rotated as in Llama."""

    cos: Tensor
    sin: Tensor

    def __init__(self, width: int, context: int, theta: float) -> None:
        super().__init__()
        turns = theta ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
        angles = torch.outer(torch.arange(context, dtype=torch.float64), turns)  # T, D/2
        # (cos, cos) and (-sin, sin): one multiply-add after swapping the halves
        self.register_buffer("cos", torch.cat([angles.cos(), angles.cos()], -1).float(), persistent=False)
        self.register_buffer("sin", torch.cat([-angles.sin(), angles.sin()], -1).float(), persistent=False)

    def forward(self, x: Tensor, first: int = 0) -> Tensor:  # B, H, T, D; `first`: the position of the first token
        last = first + x.shape[-2]
        cos, sin = self.cos[first:last].to(x.dtype), self.sin[first:last].to(x.dtype)
        left, right = x.chunk(2, dim=-1)
        return torch.addcmul(x * cos, torch.cat([right, left], dim=-1), sin)

    def angles(self) -> tuple[Tensor, Tensor]:
        """cos and sin of every position and pair: T, D / 2 each."""
        half = self.cos.shape[1] // 2
        return self.cos[:, :half].contiguous(), self.sin[:, half:].contiguous()


class KeyValueCache:
    """The keys and values of the tokens that a layer has read, so that the next token costs one. B, H, T, D each."""

    def __init__(self) -> None:
        self.length = 0
        self._keys: Tensor | None = None
        self._values: Tensor | None = None

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and values so far, the new ones last."""
        if self._keys is not None and self._values is not None:
            keys, values = torch.cat([self._keys, keys], -2), torch.cat([self._values, values], -2)
        self._keys = keys
        self._values = values
        self.length = keys.shape[-2]
        return keys, values


class CausalAttention(nn.Module):
    """Causal self-attention; with fewer key and value heads than heads, groups share them (arXiv 2305.13245)."""

    def __init__(
        self, width: int, heads: int, *, kv_heads: int, bias: bool, qk_norm: bool, rope: Rope | None, dropout: float
    ) -> None:
        super().__init__()
        self.heads = heads
        self.kv_heads = kv_heads
        self.head_width = width // heads
        self.dropout = dropout
        self.query = KernelLinear(width, width, bias=bias)
        self.key = KernelLinear(width, kv_heads * self.head_width, bias=bias)
        self.value = KernelLinear(width, kv_heads * self.head_width, bias=bias)
        self.out = KernelLinear(width, width, bias=bias)
        self.query_norm = RmsNorm(self.head_width) if qk_norm else None
        self.key_norm = RmsNorm(self.head_width) if qk_norm else None
        self.rope = rope

    def forward(self, x: Tensor, cache: KeyValueCache | None = None, documents: DocumentMask | None = None) -> Tensor:
        """With a cache: first any number of tokens at once, then one at a time. With documents: within each alone.

        Rotated positions are those in the row: only their differences count, so that they need not restart.
        """
        B, T, C = x.shape
        # one pass cuts and rotates the heads; dropout of attention, and a cache, take PyTorch's operations
        fused = cpu_kernels.applies_to(x) and cache is None and not (self.training and self.dropout)
        q, k, v = self._fused_heads(x) if fused else self._heads(x, cache.length if cache is not None else 0)
        if cache is not None:
            k, v = cache.extend(k, v)
        assert k.shape[-2] == T or T == 1
        if self.kv_heads != self.heads and (documents is not None or not fused):
            k, v = (t.repeat_interleave(self.heads // self.kv_heads, dim=1) for t in (k, v))
        if documents is not None:
            y = documents.attend(q, k, v, self._attend, dropout=self.dropout if self.training else 0.0)
        else:
            y = self._attend(q, k, v)
        out: Tensor = self.out(y.transpose(1, 2).reshape(B, T, C))
        return out

    def _heads(self, x: Tensor, first: int) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of tokens from position `first` on: B, heads, T, D."""
        B, T, _ = x.shape
        q = self.query(x).view(B, T, self.heads, self.head_width)
        k = self.key(x).view(B, T, self.kv_heads, self.head_width)
        v = self.value(x).view(B, T, self.kv_heads, self.head_width).transpose(1, 2)
        if self.query_norm is not None and self.key_norm is not None:
            q, k = self.query_norm(q), self.key_norm(k)
        q, k = q.transpose(1, 2), k.transpose(1, 2)
        if self.rope is not None:
            q, k = self.rope(q, first), self.rope(k, first)
        return q, k, v

    def _fused_heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same on a CPU: one product for query, key and value, which is cut and rotated in one pass."""
        parts = (self.query, self.key, self.value)
        joined = cpu_kernels.linear(x, [part.weight for part in parts], [part.bias for part in parts])
        cos, sin = self.rope.angles() if self.rope is not None else (None, None)
        options = cpu_attention.HeadOptions(self.heads, self.kv_heads, self.head_width, cos, sin, EPS)
        norms = None
        if self.query_norm is not None and self.key_norm is not None:
            norms = (self.query_norm.weight, self.key_norm.weight)
        return cpu_attention.split_heads(joined, options, norms)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attention of whole rows, each token to those up to itself: B, H, T, D. What is masked lies behind them."""
        dropout = self.dropout if self.training else 0.0
        causal = k.shape[-2] == q.shape[-2]
        if cpu_kernels.applies_to(q) and causal and not dropout:
            B, H, T, D = q.shape
            return cpu_attention.attend(q, k, v).view(B, T, H, D).transpose(1, 2)
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal, dropout_p=dropout)


class Gelu(nn.Module):
    """Two matrices with a GELU between (erf form: on a CPU 3 × as fast as the tanh one)."""

    def __init__(self, width: int, hidden: int, *, bias: bool) -> None:
        super().__init__()
        self.up = KernelLinear(width, hidden, bias=bias)
        self.down = KernelLinear(hidden, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down(F.gelu(self.up(x)))
        return out


class Relu2(nn.Module):
    """Two matrices with a squared ReLU between (Primer, So et al. 2021, arXiv 2109.08668)."""

    def __init__(self, width: int, hidden: int, *, bias: bool) -> None:
        super().__init__()
        self.up = KernelLinear(width, hidden, bias=bias)
        self.down = KernelLinear(hidden, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down(F.relu(self.up(x)).square())
        return out


class Swiglu(nn.Module):
    """Three matrices, one gating another through SiLU (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, width: int, hidden: int, *, bias: bool) -> None:
        super().__init__()
        self.gate = KernelLinear(width, hidden, bias=bias)
        self.up = KernelLinear(width, hidden, bias=bias)
        self.down = KernelLinear(hidden, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if cpu_kernels.applies_to(x):
            parts = (self.gate, self.up)
            joined = cpu_kernels.linear(x, [part.weight for part in parts], [part.bias for part in parts])
            active = cpu_kernels.swiglu(joined)
        else:
            active = F.silu(self.gate(x)) * self.up(x)
        out: Tensor = self.down(active)
        return out


def head_loss(
    x: Tensor, weight: Tensor, targets: Tensor, *, label_smoothing: float = 0.0, cap: float | None = None
) -> Tensor:
    """The loss of every counted target in nats, summed. x: N, C; weight: vocabulary, C; targets: N, `IGNORE` = none."""
    if cpu_kernels.applies_to(x):
        return cpu_kernels.head_loss(x, weight, targets, IGNORE, label_smoothing=label_smoothing, cap=cap)
    if x.device.type != "cpu":  # fp32 on a CPU keeps its bytes, and its batches are small
        return chunked_loss.head_loss(x, weight, targets, IGNORE, label_smoothing=label_smoothing, cap=cap)
    return summed_loss(scores(x, weight, cap), targets, label_smoothing=label_smoothing)


def summed_loss(logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of every counted target, summed. logits: N, vocabulary; targets: N, `IGNORE` = none."""
    return F.cross_entropy(logits, targets, ignore_index=IGNORE, reduction="sum", label_smoothing=label_smoothing)


def scores(x: Tensor, weight: Tensor, cap: float | None = None) -> Tensor:
    """Logits in fp32 (double stays double); with a cap, cap × tanh(logits / cap) (Gemma 2, arXiv 2408.00118)."""
    logits = wide(F.linear(x, weight))
    return logits if cap is None else cap * torch.tanh(logits / cap)


def wide(x: Tensor) -> Tensor:
    """At least fp32: what softmax and sums are computed in."""
    return x if x.dtype == torch.float64 else x.float()
