"""What is predicted from what: each token of a row from those before it, and nothing beyond its length."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pipeline.core.config import Component
from training import objectives
from training.components import make
from training.models.base import Model, build
from training.models.layers import IGNORE
from training.objectives.base import Objective, Task


@pytest.fixture
def causal() -> Objective:
    found: Objective = make(Component(name="causal"), objectives.SECTIONS, objectives.OBJECTIVES)
    return found


@pytest.fixture
def model() -> Model:
    torch.manual_seed(4)
    return build("gpt", {"layers": 1, "heads": 2, "width": 16}, vocabulary=50, context=12).eval()


def test_each_token_is_predicted_from_those_before_it(causal: Objective) -> None:
    rows = torch.tensor([[7, 3, 9, 4], [5, 6, 0, 0], [8, 0, 0, 0]])
    inputs, targets = causal.batch(rows, torch.tensor([4, 2, 1]))
    assert inputs.tolist() == rows.tolist()
    assert targets.tolist() == [[3, 9, 4, IGNORE], [6, IGNORE, IGNORE, IGNORE], [IGNORE] * 4]


@given(st.lists(st.integers(0, 12), min_size=1, max_size=6))
def test_a_row_of_n_tokens_has_n_minus_one_targets(lengths: list[int]) -> None:
    objective: Objective = make(Component(name="causal"), objectives.SECTIONS, objectives.OBJECTIVES)
    rows = torch.arange(len(lengths) * 12).view(-1, 12)
    _, targets = objective.batch(rows, torch.tensor(lengths))
    assert (targets != IGNORE).sum(1).tolist() == [max(0, length - 1) for length in lengths]


def test_what_fills_a_short_row_up_changes_neither_loss_nor_gradient(causal: Objective, model: Model) -> None:
    lengths, rows = torch.tensor([12, 5]), torch.randint(0, 50, (2, 12))
    other = rows.clone()
    other[1, 5:] = 49

    def found(rows: Tensor) -> list[Tensor]:
        model.zero_grad()
        loss = causal.loss(model, *causal.batch(rows, lengths))
        loss.backward()  # type: ignore[no-untyped-call]
        return [loss.detach(), *(p.grad.clone() for p in model.blocks.parameters() if p.grad is not None)]  # type: ignore[union-attr]

    for one, two in zip(found(rows), found(other), strict=True):
        assert torch.equal(one, two)


def test_a_batch_can_be_cut_anywhere_since_its_loss_is_a_sum(causal: Objective, model: Model) -> None:
    task = Task(model, causal)
    inputs, targets = causal.batch(torch.randint(0, 50, (6, 12)), torch.tensor([12, 3, 12, 1, 7, 12]))
    whole = task(inputs, targets).item()
    for cut in (1, 2, 5):
        parts = task(inputs[:cut], targets[:cut]) + task(inputs[cut:], targets[cut:])
        assert parts.item() == pytest.approx(whole, rel=1e-5)
    assert task(inputs[3:4], targets[3:4]).item() == 0, "a row of one token predicts nothing"
