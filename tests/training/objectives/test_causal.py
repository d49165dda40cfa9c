"""What is predicted from what: each token of a row from those before it, and nothing beyond its length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from pipeline.core.config import Component
from training import objectives
from training.models.base import Model, build
from training.models.layers import IGNORE
from training.objectives.base import LossModule, Objective

KEYS = np.arange(1, 9, dtype=np.uint64)


def create_objective(**options: float) -> Objective:
    nowhere, component = Path("tokenizer.json"), Component(name="causal", options=options)  # no tokenizer is asked
    created: Objective = objectives.OBJECTIVES.create(component, nowhere)
    return created


@pytest.fixture
def causal() -> Objective:
    return create_objective()


@pytest.fixture
def model() -> Model:
    torch.manual_seed(4)
    return build("gpt", {"layers": 1, "heads": 2, "width": 16}, vocabulary=50, context=12).eval()


def test_each_token_is_predicted_from_those_before_it(causal: Objective) -> None:
    rows = np.array([[7, 3, 9, 4], [5, 6, 0, 0], [8, 0, 0, 0]])
    batch, counted = causal.batch(rows, np.array([4, 2, 1]), KEYS[:3])
    assert batch["tokens"].tolist() == rows.tolist()
    assert batch["targets"].tolist() == [[3, 9, 4, IGNORE], [6, IGNORE, IGNORE, IGNORE], [IGNORE] * 4]
    assert counted.tolist() == [3, 1, 0]


@given(st.lists(st.integers(0, 12), min_size=1, max_size=6))
def test_a_row_of_n_tokens_has_n_minus_one_targets(lengths: list[int]) -> None:
    objective = create_objective()
    rows = np.arange(len(lengths) * 12).reshape(-1, 12)
    batch, counted = objective.batch(rows, np.array(lengths), KEYS[: len(lengths)])
    assert counted.tolist() == [max(0, length - 1) for length in lengths]
    assert (batch["targets"] != IGNORE).sum(1).tolist() == [max(0, length - 1) for length in lengths]


def test_what_fills_a_short_row_up_changes_neither_loss_nor_gradient(causal: Objective, model: Model) -> None:
    lengths, rows = np.array([12, 5]), np.random.default_rng(1).integers(0, 50, (2, 12))
    padded = rows.copy()
    padded[1, 5:] = 49

    def loss_and_gradients(rows: NDArray[np.int64]) -> list[Tensor]:
        model.zero_grad()
        loss = causal.loss(model, causal.batch(rows, lengths, KEYS[:2])[0])
        loss.backward()  # type: ignore[no-untyped-call]
        return [loss.detach(), *(p.grad.clone() for p in model.blocks.parameters() if p.grad is not None)]  # type: ignore[union-attr]

    for first, second in zip(loss_and_gradients(rows), loss_and_gradients(padded), strict=True):
        assert torch.equal(first, second)


def test_a_batch_can_be_cut_anywhere_since_its_loss_is_a_sum(causal: Objective, model: Model) -> None:
    task = LossModule(model, causal)
    rows = np.random.default_rng(2).integers(0, 50, (6, 12))
    batch, _ = causal.batch(rows, np.array([12, 3, 12, 1, 7, 12]), KEYS[:6])

    def part(rows_slice: slice) -> float:
        return float(task(**{name: tensor[rows_slice] for name, tensor in batch.items()}).detach())

    total = part(slice(0, 6))
    for cut in (1, 2, 5):
        assert part(slice(0, cut)) + part(slice(cut, 6)) == pytest.approx(total, rel=1e-5)
    assert part(slice(3, 4)) == 0, "a row of one token predicts nothing"


def test_label_smoothing_is_of_the_training_loss_alone(model: Model) -> None:
    smooth = create_objective(label_smoothing=0.2)
    batch, counted = smooth.batch(np.random.default_rng(3).integers(0, 50, (3, 12)), np.array([12, 7, 1]), KEYS[:3])
    logits, targets = model.logits(batch["tokens"]).flatten(0, 1), batch["targets"].flatten()
    plain, smoothed = (
        torch.nn.functional.cross_entropy(logits, targets, reduction="sum", label_smoothing=share).item()
        for share in (0.0, 0.2)
    )
    assert smooth.loss(model.eval(), batch).item() == pytest.approx(plain, rel=1e-5), "what is reported"
    assert smooth.loss(model.train(), batch).item() == pytest.approx(smoothed, rel=1e-5)
    assert smoothed != pytest.approx(plain, rel=1e-3) and counted.tolist() == [11, 6, 0]
