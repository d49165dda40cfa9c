"""What is predicted from what in both directions, in rows that end early too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from training.models.base import build
from training.models.layers import IGNORE
from training.objectives.bidirectional import Bidirectional
from training.objectives.section import Bidirectional as Options

ROWS = np.array([[5, 6, 7, 8], [1, 2, 3, 0], [9, 0, 0, 0], [0, 0, 0, 0]])
LENGTHS = np.array([4, 3, 1, 0])
KEYS = np.zeros(4, np.uint64)


def test_each_direction_predicts_every_token_but_its_first() -> None:
    batch, counted = Bidirectional(Options(), Path("none")).batch(ROWS, LENGTHS, KEYS)
    assert counted.tolist() == [6, 4, 0, 0]
    assert batch["targets"].tolist() == [[6, 7, 8, IGNORE], [2, 3, IGNORE, IGNORE], [IGNORE] * 4, [IGNORE] * 4]
    assert batch["tokens"].gather(1, batch["backward_order"])[:2].tolist() == [[8, 7, 6, 5], [3, 2, 1, 0]]
    assert batch["backward_targets"][:2].tolist() == [[7, 6, 5, IGNORE], [2, 1, IGNORE, IGNORE]]


def test_the_loss_is_the_sum_of_both_and_smoothed_in_training_alone() -> None:
    torch.manual_seed(0)
    model = build("bilstm", {"width": 8}, vocabulary=10, context=4)
    plain, smooth = (Bidirectional(Options(label_smoothing=smoothing), Path("none")) for smoothing in (0.0, 0.3))
    batch, counted = plain.batch(ROWS, LENGTHS, KEYS)
    loss = plain.loss(model, batch)
    assert loss.item() == pytest.approx(float(counted.sum()) * np.log(10), rel=0.02), "of a model that knows nothing"
    onward = dict(batch, backward_targets=torch.full_like(batch["backward_targets"], IGNORE))
    back = dict(batch, targets=torch.full_like(batch["targets"], IGNORE))
    assert loss.item() == pytest.approx(plain.loss(model, onward).item() + plain.loss(model, back).item(), rel=1e-6)
    assert smooth.loss(model, batch).item() != loss.item()
    assert smooth.loss(model.eval(), batch).item() == pytest.approx(loss.item(), rel=1e-6)
