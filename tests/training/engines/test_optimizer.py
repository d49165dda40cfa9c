"""The optimizers against PyTorch's own, Muon's orthogonalisation, and the schedules."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.core.config import Component, Section
from pipeline.core.errors import UserError
from training.engines import OPTIMIZERS
from training.engines.layout import LayoutPartition, striped
from training.engines.optimizer import Optimizer, clip_scale, factor, orthogonal, total_norm
from training.engines.rules import UpdateRule
from training.engines.section import Schedule


class Two(nn.Module):
    """A matrix and a vector."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.matrix, self.vector = nn.Parameter(torch.randn(24, 8)), nn.Parameter(torch.randn(8))

    def loss(self, x: Tensor) -> Tensor:
        return ((x @ self.matrix.T).sin().sum() + (x * self.vector).cos().sum()) / len(x)


class Lion(UpdateRule):
    """A rule of a user's own (Chen et al. 2023, arXiv 2302.06675)."""

    class Options(Section):
        lr: float = 0.01
        weight_decay: float = 0.5

    def update(
        self, parameter: Tensor, gradient: Tensor, state: Any, *, lr: float, weight_decay: float, step: int
    ) -> None:
        momentum = state("momentum")
        move = momentum.mul(0.9).add(gradient, alpha=0.1).sign()
        parameter.mul_(1 - lr * weight_decay).sub_(move, alpha=lr)
        momentum.mul_(0.99).add_(gradient, alpha=0.01)


class Halves(Schedule):
    """A schedule of a user's own."""

    every: int = 10

    def factor(self, step: int, steps: int) -> float:
        return 0.5 ** (step // self.every) if step < steps - 1 else math.nan


KINDS = {"matrix": "matrix", "vector": "vector"}


@pytest.fixture(autouse=True)
def named(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This file can be named as a plug-in."""
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Lion.__module__])
    yield


def optimizer_of(model: nn.Module, name: str, **options: float) -> Optimizer:
    config = OPTIMIZERS.create(Component(name=name, options=dict(options)))
    return Optimizer(model, KINDS, config, dtype=torch.bfloat16, clip=0.0)  # type: ignore[arg-type]


def train(model: Two, step: object, steps: int = 8) -> list[Tensor]:
    torch.manual_seed(5)
    for number in range(steps):
        model.zero_grad()
        model.loss(torch.randn(16, 8)).backward()  # type: ignore[no-untyped-call]
        step(number)  # type: ignore[operator]
    return [model.matrix.detach(), model.vector.detach()]


def test_adamw_is_that_of_pytorch() -> None:
    our_model, their_model = Two(), Two()
    ours = optimizer_of(our_model, "adamw", lr=0.01, weight_decay=0.3)
    theirs = torch.optim.AdamW(
        [{"params": [their_model.matrix], "weight_decay": 0.3}, {"params": [their_model.vector], "weight_decay": 0.0}],
        lr=0.01, betas=(0.9, 0.95),
    )  # fmt: skip
    trained = train(our_model, lambda number: (ours.set_step(number, 1.0), ours.step()))
    for ours_tensor, exact in zip(trained, train(their_model, lambda number: theirs.step()), strict=True):
        assert torch.allclose(ours_tensor, exact, atol=1e-6)


def test_muon_is_that_of_pytorch_for_matrices_and_adamw_for_the_rest() -> None:
    our_model, their_model = Two(), Two()
    ours = optimizer_of(our_model, "muon", lr=0.05, rest_lr=0.01, weight_decay=0.1)
    muon = torch.optim.Muon([their_model.matrix], lr=0.05, weight_decay=0.1)
    adamw = torch.optim.AdamW([their_model.vector], lr=0.01, betas=(0.9, 0.95), weight_decay=0.0)
    trained = train(our_model, lambda number: (ours.set_step(number, 1.0), ours.step()))
    exact = train(their_model, lambda number: (muon.step(), adamw.step()))  # type: ignore[no-untyped-call]
    # both iterate in bf16, not in the same order of operations
    assert (trained[0] - exact[0]).norm() < 0.02 * (Two().matrix - exact[0]).norm()
    assert torch.allclose(trained[1], exact[1], atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(64, 64), (96, 32), (32, 96)])
def test_orthogonalisation_brings_every_direction_to_about_the_same_length(
    shape: tuple[int, int], dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    left, _, right = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    matrix = left @ torch.diag(torch.linspace(3.0, 0.2, min(shape))) @ right
    result = orthogonal(matrix.to(dtype)).float()
    assert result.shape == shape
    values = torch.linalg.svdvals(result)
    assert values.min() > 0.5 and values.max() < 1.3
    assert (result * matrix).sum() > 0, "and turns no direction round"
    assert not orthogonal(torch.zeros(shape)).any()


def test_a_rule_of_ones_own_moves_the_weights_as_it_says() -> None:
    model = Two()
    matrix, vector = model.matrix.detach().clone(), model.vector.detach().clone()
    own = optimizer_of(model, f"{__name__}:Lion")
    own.set_step(0, 0.5)
    model.loss(torch.ones(4, 8)).backward()  # type: ignore[no-untyped-call]
    own.step()
    assert model.matrix.grad is not None and model.vector.grad is not None
    assert torch.allclose(model.matrix, matrix * (1 - 0.005 * 0.5) - 0.005 * model.matrix.grad.sign())
    assert torch.allclose(model.vector, vector - 0.005 * model.vector.grad.sign()), "vectors are not decayed"
    assert set(own.state[model.matrix]) == {"momentum"}


@pytest.mark.parametrize("name", ["adamw", "muon", f"{__name__}:Lion"])
def test_a_flat_share_moves_as_the_whole_weights_do(name: str) -> None:
    complete, flat = Two(), Two()
    first = optimizer_of(complete, name)
    second = optimizer_of(flat, name)
    # as ZeRO 1 and 2 do it: the group's tensors in a row, padded, in place of the parameters
    shares = []
    for group in second.param_groups:
        tensors = [p.detach() for p in group["params"]]
        layout = striped([tuple(t.shape) for t in tensors], sum(t.numel() for t in tensors) + 3, 1)
        share = layout.share_of(tensors, 0, torch.empty(layout.size)).requires_grad_()
        second.partitions[id(share)] = LayoutPartition(layout, 0)
        shares.append((share, layout, group["params"]))
        group["params"] = [share]

    def step(number: int) -> None:
        for share, layout, parameters in shares:
            share.grad = layout.share_of([p.grad for p in parameters], 0, share)
        second.set_step(number, 1.0)
        second.step()
        for share, layout, parameters in shares:
            for p, tensor in zip(parameters, layout.join([share.detach()], lambda index: True), strict=True):
                p.data.copy_(tensor)

    expected = train(complete, lambda number: (first.set_step(number, 1.0), first.step()))
    for tensor, exact in zip(train(flat, step), expected, strict=True):
        assert torch.allclose(tensor, exact, atol=1e-6)


def test_wsd_warms_up_stays_and_decays_to_its_floor() -> None:
    schedule = Component(name="wsd", options={"warmup_steps": 4, "decay": 0.5, "floor": 0.1})
    rates = [factor(step, 40, schedule) for step in range(40)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[4:21] == [1.0] * 17
    assert rates[30] == pytest.approx(0.55) and rates[39] == pytest.approx(0.1 + 0.9 / 20)
    assert rates[20:] == sorted(rates[20:], reverse=True)


def test_cosine_falls_by_half_a_wave() -> None:
    schedule = Component(name="cosine", options={"warmup_steps": 0, "floor": 0.0})
    rates = [factor(step, 100, schedule) for step in range(100)]
    assert rates[0] == 1.0 and rates[50] == pytest.approx(0.5) and rates[25] == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert rates == sorted(rates, reverse=True) and 0 < rates[99] < 0.001


def test_the_warm_up_is_two_per_cent_of_the_steps_when_nobody_says() -> None:
    schedule = Component(name="wsd", options={})
    assert [factor(step, 1000, schedule) < 1 for step in (0, 19, 20)] == [True, True, False]
    assert factor(0, 1, schedule) == pytest.approx(0.5)


def test_the_norm_of_ten_million_numbers_is_right() -> None:
    gradients = [torch.full((2_500_000,), 0.001), torch.full((2500, 3000), 0.001)]
    assert total_norm(gradients).item() == pytest.approx(math.sqrt(1e7) * 0.001, rel=1e-6)


def test_clipping_scales_to_the_bound_and_does_not_feel_the_last_bits() -> None:
    assert clip_scale(torch.tensor(0.5), 1.0) == 1 and clip_scale(torch.tensor(0.0), 1.0) == 1
    scale = clip_scale(torch.tensor(3.14159), 1.0).item()
    assert scale == pytest.approx(1 / 3.14159, rel=3e-4) and scale * 3.14159 <= 1
    assert scale == clip_scale(torch.tensor(3.14159 * (1 + 1e-6)), 1.0).item()


def test_a_schedule_of_ones_own_is_followed_and_must_be_a_number() -> None:
    schedule = Component(name=f"{__name__}:Halves", options={"every": 2})
    assert [factor(step, 9, schedule) for step in range(5)] == [1.0, 1.0, 0.5, 0.5, 0.25]
    with pytest.raises(UserError, match=r"pretrain.schedule: .*:Halves gives nan for step 8 of 9"):
        factor(8, 9, schedule)
