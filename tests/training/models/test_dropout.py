"""Dropout drops what it should, keeps the mean, and repeats from the generator's state."""

from __future__ import annotations

import pytest
import torch

from training.models.dropout import dropout


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
def test_the_rate_is_met_and_the_mean_stays(dtype: torch.dtype, rate: float) -> None:
    torch.manual_seed(0)
    dropped = dropout(torch.ones(1_000_003, dtype=dtype), rate).double()
    assert (dropped == 0).double().mean().item() == pytest.approx(rate, abs=3e-3)
    assert dropped.mean().item() == pytest.approx(1.0, abs=1e-2)
    assert len(dropped.unique()) == 2


def test_the_gradient_falls_where_the_value_fell() -> None:
    torch.manual_seed(0)
    x = torch.randn(7, 33, requires_grad=True)
    y = dropout(x, 0.4)
    y.backward(torch.ones_like(y))
    assert x.grad is not None and torch.allclose(x.grad * x.detach(), y.detach())


def test_neighbours_fall_independently() -> None:
    torch.manual_seed(0)
    fell = (dropout(torch.ones(1 << 20), 0.5) == 0).double() - 0.5
    for step in (1, 2, 3, 4):
        assert abs((fell[step:] * fell[:-step]).mean().item()) < 1e-3


def test_the_same_state_of_the_generator_gives_the_same_mask() -> None:
    x = torch.ones(1001)
    state = torch.get_rng_state()
    first, second = dropout(x, 0.3), dropout(x, 0.3)
    torch.set_rng_state(state)
    assert torch.equal(dropout(x, 0.3), first) and not torch.equal(first, second)


def test_no_rate_is_the_same_tensor() -> None:
    x = torch.ones(3)
    assert dropout(x, 0.0) is x
