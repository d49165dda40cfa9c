"""Head and cross-entropy in chunks of rows, in PyTorch's own operations, for any device and precision.

The logits of a batch are never in memory at once: of 32,768 tokens × 128,000 pieces they are 17 GB. The gradient is
computed with the loss, chunk by chunk, and only scaled backward, so each logit is computed once.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from training.models.cpu_kernels import FunctionContext

LOGITS = 1 << 28  # at once: 1 GB in fp32, 2,048 rows of 128,000 pieces: enough rows to fill a GPU


def head_loss(
    x: Tensor, weight: Tensor, targets: Tensor, ignore: int, *, label_smoothing: float = 0.0, cap: float | None = None
) -> Tensor:
    """The loss of every target that is not `ignore`, in nats, summed. x: N, C; weight: V, C; targets: N.

    With a cap, logits are cap × tanh(logits / cap). Under autocast the products run in its precision, all else in fp32.
    """
    return cast(
        Tensor,
        _ChunkedHeadLoss.apply(  # type: ignore[no-untyped-call]
            x, weight, targets, ignore, label_smoothing, cap, torch.is_grad_enabled()
        ),
    )


class _ChunkedHeadLoss(Function):
    """See `head_loss`; saves the gradients of x and weight."""

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
        dtype = x.dtype
        if torch.is_autocast_enabled(x.device.type):
            dtype = torch.get_autocast_dtype(x.device.type)
        ctx.dtypes = x.dtype, weight.dtype
        rows, w = x.to(dtype), weight.to(dtype)
        loss = torch.zeros((), dtype=_wide(dtype), device=x.device)
        # a parameter needs a gradient in validation too, which takes none
        needs_gradient = is_recorded and (ctx.needs_input_grad[0] or ctx.needs_input_grad[1])
        for_x = torch.empty_like(rows) if needs_gradient else None
        for_w = torch.zeros(w.shape, dtype=_wide(dtype), device=x.device) if needs_gradient else None
        chunk = max(64, LOGITS // len(w))
        for first in range(0, len(rows), chunk):
            part = slice(first, first + chunk)
            logits = F.linear(rows[part], w).to(_wide(dtype))
            bent = None if cap is None else torch.tanh(logits / cap)
            gradient, chunk_loss = _softmax_loss(
                logits if bent is None or cap is None else bent * cap, targets[part], ignore, smoothing
            )
            loss += chunk_loss
            if for_x is None or for_w is None:
                continue
            if bent is not None:  # the slope of cap × tanh(z / cap) is 1 - tanh²; of a row that does not count, any
                gradient.mul_(torch.where((targets[part] != ignore).unsqueeze(-1), 1 - bent.square(), 1))
            gradient = gradient.to(dtype)
            for_x[part] = gradient @ w
            for_w += gradient.t() @ rows[part]
        if needs_gradient:
            ctx.save_for_backward(for_x, for_w)
        return loss

    @staticmethod
    def backward(ctx: FunctionContext, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None, None, None]:
        for_x, for_w = ctx.saved_tensors
        return (for_x * gradient).to(ctx.dtypes[0]), (for_w * gradient).to(ctx.dtypes[1]), None, None, None, None, None


def _softmax_loss(logits: Tensor, targets: Tensor, ignore: int, smoothing: float) -> tuple[Tensor, Tensor]:
    """The gradient of the summed loss of a chunk's logits, zero in ignored rows, and the loss.

    The targets' distribution is one_hot(targets); smoothed by e, (1 - e) one_hot(targets) + e / vocabulary.
    """
    counted = targets != ignore
    column = torch.where(counted, targets, 0).unsqueeze(-1)
    level = torch.logsumexp(logits, -1)
    losses = level - logits.gather(1, column).squeeze(-1)
    if smoothing:
        losses = (1 - smoothing) * losses + smoothing * (level - logits.mean(-1))
    gradient = torch.softmax(logits, -1).sub_(smoothing / logits.shape[-1])
    gradient.scatter_add_(1, column, torch.full_like(column, 0, dtype=gradient.dtype).sub_(1 - smoothing))
    # where, not a product: a row that does not count may hold a number that is not finite
    return torch.where(counted.unsqueeze(-1), gradient, 0), torch.where(counted, losses, 0).sum()


def _wide(dtype: torch.dtype) -> torch.dtype:
    """At least fp32: what softmax and sums are computed in."""
    return torch.float64 if dtype == torch.float64 else torch.float32
