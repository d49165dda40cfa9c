"""The logistic function by a fraction of polynomials, and its loss."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from training.vectors.compiler import kernel
from training.vectors.logistic import gradients, nats, probabilities

Floats = NDArray[np.float32]


@kernel
def answered(scores: Floats, labels: Floats, around: int, wide: int, rate: float) -> float:
    probabilities(scores, around * wide)
    loss = nats(scores, labels, 0, around, wide)
    if rate:
        gradients(scores, labels, 0, around, wide, rate)
    return loss


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-x)))


def test_the_curve_is_the_logistic_function_to_float32() -> None:
    x = np.linspace(-9, 9, 30_016).astype(np.float32)
    answers = x.copy()
    answered(answers, np.zeros(len(x), np.float32), 1, len(x), 0.0)
    assert np.abs(answers - sigmoid(x.astype(np.float64))).max() < 2e-7
    beyond = np.array([-1e30, -20, -9, 0, 9, 20, 1e30] + [0] * 9, np.float32)
    answered(beyond, np.zeros(16, np.float32), 1, 7, 0.0)
    assert beyond[0] == beyond[1] == beyond[2] and beyond[4] == beyond[5] == beyond[6] and beyond[3] == 0.5


def test_gradients_and_nats_are_those_of_the_labels_and_blanks_have_none() -> None:
    draw = np.random.default_rng(1)
    labels = np.array([1, 0, 0, 0.5, 1, 0.5], np.float32)
    scores = np.zeros(64, np.float32)
    scores[:24] = draw.normal(size=24) * 2
    scores[:24].reshape(4, 6)[:, labels == 0.5] = 0
    chance = sigmoid(scores[:24].reshape(4, 6).astype(np.float64))
    loss = answered(scores, labels, 4, 6, 0.1)
    counted = labels != 0.5
    label_probabilities = np.where(labels == 1, chance, 1 - chance)[:, counted]
    assert loss == pytest.approx(-np.log(label_probabilities).sum(), rel=1e-5)
    np.testing.assert_allclose(scores[:24].reshape(4, 6), 0.1 * (labels - chance), atol=1e-7)
    assert not scores[:24].reshape(4, 6)[:, ~counted].any()


def test_many_improbable_answers_do_not_vanish() -> None:
    scores = np.full(400 + 16, 30, np.float32)
    assert answered(scores, np.zeros(400, np.float32), 1, 400, 0.0) == pytest.approx(400 * 9, rel=1e-2)
