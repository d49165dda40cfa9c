"""Head and loss in chunks, for GPUs, compute what PyTorch's cross-entropy of all logits does: on a CPU here."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from training.models import chunked_loss
from training.models.layers import IGNORE


@pytest.fixture
def inputs(monkeypatch: pytest.MonkeyPatch) -> tuple[Tensor, Tensor, Tensor]:
    """x, weight and targets of three chunks, the last one shorter; some rows do not count."""
    monkeypatch.setattr(chunked_loss, "LOGITS", 1)  # chunks of 64 rows, the smallest
    draw = torch.Generator().manual_seed(4)
    x, w = torch.randn(150, 8, generator=draw).double(), torch.randn(30, 8, generator=draw).double()
    targets = torch.randint(0, 30, (150,), generator=draw)
    targets[60:90] = IGNORE
    return x, w, targets


def exact(x: Tensor, w: Tensor, targets: Tensor, smoothing: float, cap: float | None) -> Tensor:
    logits = F.linear(x, w)
    logits = logits if cap is None else cap * torch.tanh(logits / cap)
    return F.cross_entropy(logits, targets, ignore_index=IGNORE, reduction="sum", label_smoothing=smoothing)


def gradients(loss: Tensor, *leaves: Tensor) -> list[Tensor]:
    return [loss, *torch.autograd.grad(3.0 * loss, leaves)]


@pytest.mark.parametrize("cap", [None, 4.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_it_is_the_cross_entropy_of_all_logits(
    inputs: tuple[Tensor, Tensor, Tensor], smoothing: float, cap: float | None
) -> None:
    x, w, targets = inputs[0].requires_grad_(), inputs[1].requires_grad_(), inputs[2]
    ours = chunked_loss.head_loss(x, w, targets, IGNORE, label_smoothing=smoothing, cap=cap)
    expected = gradients(exact(x, w, targets, smoothing, cap), x, w)
    for value, right in zip(gradients(ours, x, w), expected, strict=True):
        assert torch.allclose(value, right, rtol=1e-10, atol=1e-12)


def test_under_autocast_products_are_in_bf16_and_gradients_in_fp32(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    x, w = (t.float().requires_grad_() for t in inputs[:2])
    with torch.autocast("cpu", torch.bfloat16):
        loss = chunked_loss.head_loss(x, w, inputs[2], IGNORE)
    expected = gradients(exact(x, w, inputs[2], 0.0, None), x, w)
    for value, right in zip(gradients(loss, x, w), expected, strict=True):
        assert value.dtype == torch.float32
        assert (value - right).norm() < 0.01 * right.norm()


def test_without_any_target_and_without_gradients(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    x, w, targets = inputs
    with torch.no_grad():
        assert chunked_loss.head_loss(x, w, targets, IGNORE).item() == pytest.approx(
            exact(x, w, targets, 0.0, None).item()
        )
    x, w = x.requires_grad_(), w.requires_grad_()
    loss, *gradient = gradients(chunked_loss.head_loss(x, w, torch.full_like(targets, IGNORE), IGNORE), x, w)
    assert not loss and not any(g.any() for g in gradient)
