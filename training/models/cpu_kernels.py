"""Operations of a training step that are faster on a CPU in bf16 than those of autocast; same mathematics.

They run where `applies_to(x)` is true: a CPU tensor under bf16 autocast. A GPU, and fp32 anywhere, take PyTorch's own
operations, to which the tests compare these. Measured gains are in training/README.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from training.models.cpu import gate, loss, norm, rows

FunctionContext: TypeAlias = Any
"""The context of an autograd Function, on which torch lets any attribute be set."""
BF16 = torch.bfloat16
# logits in memory at once: 256 rows × 8,192 in fp32 are 8 MB, which fit in the caches of a core and its share of L3
LOGITS = 1 << 21


def applies_to(x: Tensor) -> bool:
    """Whether these operations apply to x."""
    return x.device.type == "cpu" and torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == BF16


def linear(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> Tensor:
    """x @ weight.T + bias in bf16, of one weight or of several that read the same: their products side by side."""
    return cast(Tensor, _Linear.apply(x, len(weights), *weights, *biases))  # type: ignore[no-untyped-call]


def normalized_sum(
    x: Tensor, added: Tensor | None, weight: Tensor, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor]:
    """x + added in fp32, and its norm in bf16: layer norm, or without a bias root mean square norm."""
    total, normed = _NormalizedSum.apply(x, added, weight, bias, eps)  # type: ignore[no-untyped-call]
    return x if added is None else total, normed


def normalized(x: Tensor, weight: Tensor, bias: Tensor | None, eps: float) -> Tensor:
    """The norm of x in bf16: layer norm, or without a bias root mean square norm."""
    return normalized_sum(x, None, weight, bias, eps)[1]


def swiglu(gate_up: Tensor) -> Tensor:
    """silu(gate) × up, of gate and up side by side."""
    return cast(Tensor, _Swiglu.apply(gate_up))  # type: ignore[no-untyped-call]


def head_loss(
    x: Tensor, weight: Tensor, targets: Tensor, ignore: int, *, label_smoothing: float = 0.0, cap: float | None = None
) -> Tensor:
    """Head and cross-entropy in one operation, summed; the logits of a batch are never in memory at once."""
    return cast(Tensor, _HeadLoss.apply(x, weight, targets, ignore, label_smoothing, cap, torch.is_grad_enabled()))  # type: ignore[no-untyped-call]


class _Linear(Function):
    """x @ w.T in bf16; the gradients of weights come back as fp32, with the digits of bf16: views of one product."""

    @staticmethod
    def forward(ctx: FunctionContext, x: Tensor, count: int, *weights_and_biases: Tensor | None) -> Tensor:
        weights, biases = weights_and_biases[:count], weights_and_biases[count:]
        x, w = x.to(BF16), _joined(weights)
        ctx.save_for_backward(x, w)
        ctx.sizes = [len(weight) for weight in weights if weight is not None]
        ctx.has_bias = biases[0] is not None
        flat = x.reshape(-1, x.shape[-1])
        out = torch.addmm(_joined(biases), flat, w.t()) if ctx.has_bias else flat @ w.t()
        return out.view(*x.shape[:-1], len(w))

    @staticmethod
    def backward(ctx: FunctionContext, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, w = ctx.saved_tensors
        flat = gradient.to(BF16).reshape(-1, gradient.shape[-1])
        for_x = (flat @ w).view(x.shape) if ctx.needs_input_grad[0] else None
        for_weights = torch.split((flat.t() @ x.reshape(-1, x.shape[-1])).float(), ctx.sizes)
        for_biases: Sequence[Tensor | None] = [None] * len(ctx.sizes)
        if ctx.has_bias:
            for_biases = torch.split(flat.sum(0, dtype=torch.float32), ctx.sizes)
        return for_x, None, *for_weights, *for_biases


def _joined(parts: Sequence[Tensor | None]) -> Tensor:
    """Tensors one after the other, in bf16."""
    tensors = [part for part in parts if part is not None]
    if len(tensors) == 1:
        return tensors[0].to(BF16)
    joined = tensors[0].new_empty(sum(map(len, tensors)), *tensors[0].shape[1:], dtype=BF16)
    for place, part in zip(torch.split(joined, [len(part) for part in tensors]), tensors, strict=True):
        place.copy_(part)
    return joined


class _NormalizedSum(Function):
    """See `normalized_sum`. Saves the sum, and two numbers a row."""

    @staticmethod
    def forward(
        ctx: FunctionContext, x: Tensor, added: Tensor | None, weight: Tensor, bias: Tensor | None, eps: float
    ) -> tuple[Tensor | None, Tensor]:
        width, centred = x.shape[-1], bias is not None
        ctx.dtype = x.dtype
        ctx.set_materialize_grads(False)
        x = x.float().contiguous()
        total = x if added is None else torch.empty_like(x)
        flat = total.view(-1, width)
        more = torch.empty(0, width, dtype=BF16) if added is None else added.to(BF16).contiguous().view(-1, width)
        normed = torch.empty(x.shape, dtype=BF16)
        inverse, mean = torch.empty(2, len(flat))
        rows.run(
            norm.normalize, len(flat), rows.floats(x.view(-1, width)), rows.bits(more), added is not None,
            rows.floats(weight.float()), rows.floats((weight if bias is None else bias).float()), centred,
            np.float32(eps), rows.floats(flat), rows.bits(normed.view(-1, width)), rows.floats(inverse),
            rows.floats(mean),
        )  # fmt: skip
        ctx.save_for_backward(total, inverse, mean, weight)
        ctx.centred, ctx.has_added = centred, added is not None
        return None if added is None else total, normed

    @staticmethod
    def backward(
        ctx: FunctionContext, for_total: Tensor | None, for_normed: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        total, inverse, mean, weight = ctx.saved_tensors
        if for_normed is None:
            return for_total, for_total if ctx.has_added else None, None, None, None
        width = total.shape[-1]
        count = total.numel() // width
        for_x, for_added = torch.empty(count, width), torch.empty(count if ctx.has_added else 0, width, dtype=BF16)
        stream = torch.empty(0, width) if for_total is None else for_total.contiguous().view(-1, width)
        for_weight, for_bias = torch.zeros(2, rows.parts(count), width)
        rows.run(
            norm.normalize_backward, count, rows.floats(total.view(-1, width)), rows.floats(inverse), rows.floats(mean),
            rows.floats(weight.float()), ctx.centred, rows.bits(for_normed.to(BF16).contiguous().view(-1, width)),
            rows.floats(stream), for_total is not None, rows.floats(for_x), rows.bits(for_added), ctx.has_added,
            rows.floats(for_weight), rows.floats(for_bias),
        )  # fmt: skip
        return (
            for_x.view(total.shape).to(ctx.dtype), for_added.view(total.shape) if ctx.has_added else None,
            for_weight.sum(0), for_bias.sum(0) if ctx.centred else None, None,
        )  # fmt: skip


class _Swiglu(Function):
    """See `swiglu`. gate_up: …, 2 H."""

    @staticmethod
    def forward(ctx: FunctionContext, gate_up: Tensor) -> Tensor:
        flat = gate_up.reshape(-1, gate_up.shape[-1])
        active = flat.new_empty(len(flat), flat.shape[1] // 2)
        rows.run(gate.swiglu, len(flat), rows.bits(flat), rows.bits(active))
        ctx.save_for_backward(gate_up)
        return active.view(*gate_up.shape[:-1], -1)

    @staticmethod
    def backward(ctx: FunctionContext, gradient: Tensor) -> Tensor:
        (gate_up,) = ctx.saved_tensors
        flat = gate_up.reshape(-1, gate_up.shape[-1])
        for_gate_up, hidden = torch.empty_like(flat), flat.shape[1] // 2
        for_active = gradient.to(BF16).reshape(-1, hidden).contiguous()
        scratch = torch.empty(rows.parts(len(flat)), hidden)
        rows.run(
            gate.swiglu_backward, len(flat), rows.bits(flat), rows.bits(for_active), rows.bits(for_gate_up),
            rows.floats(scratch),
        )  # fmt: skip
        return for_gate_up.view(gate_up.shape)


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
        is_recorded: bool,
    ) -> Tensor:
        x, w = x.to(BF16), weight.to(BF16)
        chunk = max(64, LOGITS // len(weight))
        # a parameter needs a gradient in validation too, which takes none
        needs_gradient = is_recorded and (ctx.needs_input_grad[0] or ctx.needs_input_grad[1])
        losses = torch.empty(len(x))
        for_x = torch.empty_like(x) if needs_gradient else None
        for_w = torch.zeros_like(weight, dtype=torch.float32) if needs_gradient else None
        scratch = torch.empty(rows.parts(chunk), len(weight))
        for first in range(0, len(x), chunk):
            last = min(first + chunk, len(x))
            logits = x[first:last] @ w.t()
            rows.run(
                loss.softmax_loss, last - first, rows.bits(logits), targets[first:last].numpy(), ignore,
                np.float32(smoothing), np.float32(cap or 0.0), rows.floats(losses[first:last]), rows.floats(scratch),
            )  # fmt: skip
            if for_x is not None and for_w is not None:
                torch.mm(logits, w, out=for_x[first:last])
                rows.run(loss.add, len(w), rows.floats(for_w), rows.bits(logits.t() @ x[first:last]))
        if needs_gradient:
            ctx.save_for_backward(for_x, for_w)
        return losses.sum()

    @staticmethod
    def backward(ctx: FunctionContext, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None, None, None]:
        for_x, for_w = ctx.saved_tensors
        return for_x * gradient, for_w * gradient, None, None, None, None, None
