"""Forms of a training step that are faster on a CPU in bf16 than what autocast does by itself; same mathematics.

They run where `wanted(x)` says so: a CPU tensor under bf16 autocast. A GPU, and fp32 anywhere, take PyTorch's own
operations, to which the tests compare these. Measured gains are in training/README.md.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

BF16 = torch.bfloat16
# rows of logits that live at once: 256 × 8,192 in fp32 is 8 MB, which the caches of a core and its share of L3 hold
LOGITS = 1 << 21


def wanted(x: Tensor) -> bool:
    """Whether the CPU forms apply here."""
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
    """Head and cross-entropy as one, summed; the logits of a batch never live at once."""
    return cast(Tensor, _HeadLoss.apply(x, weight, targets, ignore, label_smoothing, cap))  # type: ignore[no-untyped-call]


class _Linear(Function):
    """x @ w.T in bf16; the weight's gradient comes back in the weight's own precision."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        x, w = x.to(BF16), weight.to(BF16)
        ctx.save_for_backward(x, w)
        ctx.has_bias = bias is not None
        return F.linear(x, w, None if bias is None else bias.to(BF16))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        x, w = ctx.saved_tensors
        flat = gradient.to(BF16).reshape(-1, gradient.shape[-1])
        for_bias = flat.sum(0, dtype=torch.float32) if ctx.has_bias else None
        for_x = (flat @ w).view(x.shape) if ctx.needs_input_grad[0] else None
        turned = flat.t().contiguous() if has_amx() else flat.t()
        return for_x, (turned @ x.reshape(-1, x.shape[-1])).float(), for_bias


class _RmsNorm(Function):
    """x / rms(x) × weight over the last axis, from fp32 or bf16 to bf16: five passes where autograd needs a dozen."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        width = x.shape[-1]
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        scale = torch.rsqrt(length.square() / width + eps)
        unit = (x * scale).to(BF16)
        ctx.save_for_backward(unit, scale, weight)
        ctx.dtype = x.dtype
        return unit * weight.to(BF16)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        unit, scale, weight = ctx.saved_tensors
        product = gradient * unit
        for_weight = product.reshape(-1, product.shape[-1]).sum(0, dtype=torch.float32)
        along = (product @ weight.to(BF16).unsqueeze(-1)) / -product.shape[-1]
        for_x = torch.addcmul(gradient * weight.to(BF16), unit, along) * scale
        return for_x.to(ctx.dtype), for_weight, None


class _HeadLoss(Function):
    """Sum of -log softmax(x @ w.T)[target] over rows, `LOGITS` at a time: the logits of a batch never live at once.

    The gradient is computed beside the loss, while a chunk is in the caches, and only scaled in `backward`. Rows
    whose target is `ignore` count nothing. With a cap, logits are bent in fp32; with smoothing, a share of each target
    is spread over the vocabulary.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, targets: Tensor, ignore: int, smoothing: float, cap: float | None
    ) -> Tensor:
        x, w = x.to(BF16), weight.to(BF16)
        chunk = max(64, LOGITS // len(weight))
        learning = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        loss = torch.zeros((), dtype=torch.float32)
        for_x, for_w = torch.empty_like(x), torch.zeros_like(weight, dtype=torch.float32)
        for first in range(0, len(x), chunk):
            rows, wanted_ids = x[first : first + chunk], targets[first : first + chunk]
            logits = F.linear(rows, w)
            bend = None if cap is None else logits.float().div_(cap).tanh_()
            logits = logits if bend is None or cap is None else bend * cap
            probabilities, chunk_loss = _softmax_loss(logits, wanted_ids, ignore, smoothing)
            loss += chunk_loss
            if learning:
                # times the slope of cap × tanh(x / cap), which is 1 - tanh²
                slid = probabilities if bend is None else torch.ops.aten.tanh_backward(probabilities, bend)
                gradient = slid.to(BF16)
                torch.mm(gradient, w, out=for_x[first : first + chunk])
                turned = gradient.t().contiguous() if has_amx() else gradient.t()
                for_w += turned @ rows
        if learning:
            ctx.save_for_backward(for_x, for_w)
        return loss

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        for_x, for_w = ctx.saved_tensors
        return for_x * gradient, for_w * gradient, None, None, None, None


def _softmax_loss(logits: Tensor, targets: Tensor, ignore: int, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """softmax(logits) - the targets' distribution, zero in ignored rows, and the summed loss.

    That distribution is one_hot(targets); smoothed by e, (1 - e) one_hot(targets) + e / vocabulary.
    """
    gradient = torch.softmax(logits, dim=-1, dtype=torch.float32)
    counted = targets != ignore
    column = torch.where(counted, targets, 0).unsqueeze(-1)
    chosen = gradient.gather(1, column)
    # fp32 softmax underflows to 0 beyond e^-103: the loss of such a token is cut there
    loss = -(chosen.clamp_min(1e-45).log().squeeze(-1) * counted).sum()
    if smoothing:
        # the mean of -log p is log Σ exp(logits) less their mean; the largest p cannot underflow
        total = logits.amax(-1).float() - gradient.amax(-1).log()
        spread = ((total - logits.mean(-1, dtype=torch.float32)) * counted).sum()
        loss = (1.0 - smoothing) * loss + smoothing * spread
        each = smoothing / logits.shape[-1]
        gradient.sub_(each)
        gradient.scatter_(1, column, chosen - (1.0 - smoothing + each))
    else:
        gradient.scatter_(1, column, chosen - 1.0)
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
