"""Operations of a training step that are faster on a CPU in bf16 than those of autocast; same mathematics.

They run where `applies_to(x)` is true: a CPU tensor under bf16 autocast. A GPU, and fp32 anywhere, take PyTorch's own
operations, to which the tests compare these. Measured gains are in training/README.md.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

FunctionContext: TypeAlias = Any
"""The context of an autograd Function, on which torch lets any attribute be set."""
BF16 = torch.bfloat16
# logits in memory at once: 256 rows × 8,192 in fp32 are 8 MB, which fit in the caches of a core and its share of L3
LOGITS = 1 << 21


def applies_to(x: Tensor) -> bool:
    """Whether these operations apply to x."""
    return x.device.type == "cpu" and torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == BF16


@cache
def has_amx() -> bool:
    """Whether the processor multiplies bf16 in tiles, where a strided weight gradient runs at half speed or less."""
    path = Path("/proc/cpuinfo")
    return path.exists() and " amx_bf16" in path.read_text(encoding="utf-8", errors="replace")


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x @ weight.T + bias in bf16, with a fast weight gradient."""
    return cast(Tensor, _Linear.apply(x, weight, bias))  # type: ignore[no-untyped-call]


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / rms(x) × weight over the last axis, to bf16."""
    return cast(Tensor, _RmsNorm.apply(x, weight, eps))  # type: ignore[no-untyped-call]


def head_loss(
    x: Tensor, weight: Tensor, targets: Tensor, ignore: int, *, label_smoothing: float = 0.0, cap: float | None = None
) -> Tensor:
    """Head and cross-entropy in one operation, summed; the logits of a batch are never in memory at once."""
    return cast(Tensor, _HeadLoss.apply(x, weight, targets, ignore, label_smoothing, cap))  # type: ignore[no-untyped-call]


class _Linear(Function):
    """x @ w.T in bf16; the weight's gradient comes back in the weight's own precision."""

    @staticmethod
    def forward(ctx: FunctionContext, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        x, w = x.to(BF16), weight.to(BF16)
        ctx.save_for_backward(x, w)
        ctx.has_bias = bias is not None
        return F.linear(x, w, None if bias is None else bias.to(BF16))

    @staticmethod
    def backward(ctx: FunctionContext, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        x, w = ctx.saved_tensors
        flat = gradient.to(BF16).reshape(-1, gradient.shape[-1])
        for_bias = flat.sum(0, dtype=torch.float32) if ctx.has_bias else None
        for_x = (flat @ w).view(x.shape) if ctx.needs_input_grad[0] else None
        transposed = flat.t().contiguous() if has_amx() else flat.t()
        return for_x, (transposed @ x.reshape(-1, x.shape[-1])).float(), for_bias


class _RmsNorm(Function):
    """x / rms(x) × weight over the last axis, from fp32 or bf16 to bf16: five passes where autograd needs a dozen."""

    @staticmethod
    def forward(ctx: FunctionContext, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        width = x.shape[-1]
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        scale = torch.rsqrt(length.square() / width + eps)
        unit = (x * scale).to(BF16)
        ctx.save_for_backward(unit, scale, weight)
        ctx.dtype = x.dtype
        return unit * weight.to(BF16)

    @staticmethod
    def backward(ctx: FunctionContext, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        unit, scale, weight = ctx.saved_tensors
        product = gradient * unit
        for_weight = product.reshape(-1, product.shape[-1]).sum(0, dtype=torch.float32)
        along = (product @ weight.to(BF16).unsqueeze(-1)) / -product.shape[-1]
        for_x = torch.addcmul(gradient * weight.to(BF16), unit, along) * scale
        return for_x.to(ctx.dtype), for_weight, None


class _HeadLoss(Function):
    """Sum of -log softmax(x @ w.T)[target] over rows, `LOGITS` logits in memory at a time.

    The gradient is computed with the loss, while a chunk is in the caches, and only scaled in `backward`. Rows whose
    target is `ignore` do not count. With a cap, logits are capped in fp32; with smoothing, a share of each target
    is spread over the vocabulary.
    """

    @staticmethod
    def forward(
        ctx: FunctionContext,
        x: Tensor,
        weight: Tensor,
        targets: Tensor,
        ignore: int,
        smoothing: float,
        cap: float | None,
    ) -> Tensor:
        x, w = x.to(BF16), weight.to(BF16)
        chunk = max(64, LOGITS // len(weight))
        needs_gradient = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        loss = torch.zeros((), dtype=torch.float32)
        for_x, for_w = torch.empty_like(x), torch.zeros_like(weight, dtype=torch.float32)
        for first in range(0, len(x), chunk):
            rows = x[first : first + chunk]
            row_targets = targets[first : first + chunk]
            logits = F.linear(rows, w)
            capped = None if cap is None else logits.float().div_(cap).tanh_()
            logits = logits if capped is None or cap is None else capped * cap
            probabilities, chunk_loss = _softmax_loss(logits, row_targets, ignore, smoothing)
            loss += chunk_loss
            if needs_gradient:
                # times the slope of cap × tanh(x / cap), which is 1 - tanh²
                slope = probabilities if capped is None else torch.ops.aten.tanh_backward(probabilities, capped)
                gradient = slope.to(BF16)
                torch.mm(gradient, w, out=for_x[first : first + chunk])
                transposed = gradient.t().contiguous() if has_amx() else gradient.t()
                for_w += transposed @ rows
        if needs_gradient:
            ctx.save_for_backward(for_x, for_w)
        return loss

    @staticmethod
    def backward(ctx: FunctionContext, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        for_x, for_w = ctx.saved_tensors
        return for_x * gradient, for_w * gradient, None, None, None, None


def _softmax_loss(logits: Tensor, targets: Tensor, ignore: int, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """softmax(logits) - the targets' distribution, zero in ignored rows, and the summed loss.

    That distribution is one_hot(targets); smoothed by e, (1 - e) one_hot(targets) + e / vocabulary.
    """
    gradient = torch.softmax(logits, dim=-1, dtype=torch.float32)
    counted = targets != ignore
    column = torch.where(counted, targets, 0).unsqueeze(-1)
    target_probability = gradient.gather(1, column)
    # fp32 softmax underflows to 0 beyond e^-103: the loss of such a token is cut there
    loss = -(target_probability.clamp_min(1e-45).log().squeeze(-1) * counted).sum()
    if smoothing:
        # the mean of -log p is log Σ exp(logits) less their mean; the largest p cannot underflow
        total = logits.amax(-1).float() - gradient.amax(-1).log()
        spread = ((total - logits.mean(-1, dtype=torch.float32)) * counted).sum()
        loss = (1.0 - smoothing) * loss + smoothing * spread
        each = smoothing / logits.shape[-1]
        gradient.sub_(each)
        gradient.scatter_(1, column, target_probability - (1.0 - smoothing + each))
    else:
        gradient.scatter_(1, column, target_probability - 1.0)
    gradient.index_fill_(0, (~counted).nonzero().squeeze(-1), 0.0)
    return gradient, loss


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention for short rows by explicit products; at 256 tokens 1.8 × as fast as the fused CPU kernel."""
    B, H, T, D = q.shape
    scores = torch.baddbmm(
        _mask(T, q.dtype), q.reshape(B * H, T, D), k.reshape(B * H, T, D).transpose(1, 2), alpha=D**-0.5
    )
    return (torch.softmax(scores, dim=-1) @ v.reshape(B * H, T, D)).view(B, H, T, D)


@cache
def _mask(length: int, dtype: torch.dtype) -> Tensor:
    return torch.full((1, length, length), float("-inf"), dtype=dtype).triu(1)
