"""GloVe's loop against the published algorithm in double precision, and its gradients against torch.autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from training.vectors.glove_descent import CELL, descend, shuffle, stride_of

RATE = 0.05
X_MAX, ALPHA = 10.0, 0.75


def loss(w: Tensor, c: Tensor, b: Tensor, d: Tensor, count: Tensor) -> Tensor:
    """Pennington et al. 2014, equations 8 and 9, of one cell."""
    weight = torch.clamp((count / X_MAX) ** ALPHA, max=1.0)
    return 0.5 * weight * (w @ c + b + d - count.log()) ** 2


def rows(vectors: np.ndarray, biases: np.ndarray, squares: np.ndarray, *, context: bool) -> np.ndarray:  # type: ignore[type-arg]
    """As the kernel has them: vector, bias and a constant 1 (the other way round for contexts), squares."""
    count, width = vectors.shape
    table = np.zeros((count, 2, stride_of(width)), np.float32)
    table[:, 0, :width], table[:, 1] = vectors, squares
    table[:, 0, width + context], table[:, 0, width + 1 - context] = biases, 1
    return table


def cells_of(words: np.ndarray, contexts: np.ndarray, counts: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    cells = np.zeros(len(words), CELL)
    cells["word"], cells["context"], cells["log"] = words, contexts, np.log(counts)
    cells["weight"] = np.minimum(1, (counts / X_MAX) ** ALPHA)
    return cells


def published(cells: np.ndarray, state: list[np.ndarray], rate: float) -> float:  # type: ignore[type-arg]
    """The published program's update, in double precision: w, c, b, d, then the squares of each."""
    w, c, b, d, w2, c2, b2, d2 = state
    summed = 0.0
    for word, context, log, weight in cells.tolist():
        difference = w[word] @ c[context] + b[word] + d[context] - log
        weighted = weight * difference
        summed += 0.5 * weighted * difference
        moves = [
            (w, w2, word, rate * weighted * c[context].copy()), (c, c2, context, rate * weighted * w[word].copy()),
            (b, b2, word, rate * weighted), (d, d2, context, rate * weighted),
        ]  # fmt: skip
        for numbers, squares, row, move in moves:
            numbers[row] -= move / np.sqrt(squares[row])
            squares[row] += move**2
    return summed


@pytest.mark.parametrize("width", [1, 14, 15, 30, 100])
def test_a_pass_over_the_cells_ends_where_the_published_algorithm_does(width: int) -> None:
    draw, count = np.random.default_rng(width), 12
    state = [draw.normal(size=(count, width)) / width**0.5 for _ in range(2)] + [draw.normal(size=count) for _ in "bd"]
    state += [np.ones_like(numbers) for numbers in state]
    w, c, b, d = (numbers.copy() for numbers in state[:4])
    words, contexts = (rows(v, bias, np.float32(1), context=k) for k, (v, bias) in enumerate([(w, b), (c, d)]))  # type: ignore[arg-type]
    cells = cells_of(draw.integers(0, count, 400), draw.integers(0, count, 400), draw.uniform(0.1, 40, 400))
    order = draw.permutation(400).astype(np.int32)
    loss = descend(cells, order, words.reshape(-1), contexts.reshape(-1), 0, 0, stride_of(width), width, RATE)
    assert loss == pytest.approx(published(cells[order], state, RATE), rel=1e-5)
    for rows_, vectors, biases, context in ((words, state[0], state[2], 0), (contexts, state[1], state[3], 1)):
        assert rows_[:, 0, :width] == pytest.approx(vectors, abs=2e-5)
        assert rows_[:, 0, width + context] == pytest.approx(biases, abs=2e-5)
        assert (rows_[:, 0, width + 1 - context] == 1).all()
        assert not rows_[:, 0, width + 2 :].any()


@pytest.mark.parametrize("count", [0.2, 3.0, 50.0])
def test_a_step_is_the_gradient_that_autograd_finds(count: float) -> None:
    width, draw = 20, torch.Generator().manual_seed(3)
    parameters = [torch.randn(shape, generator=draw, dtype=torch.float64) for shape in [(width,), (width,), (), ()]]
    w, c, b, d = (tensor.requires_grad_() for tensor in parameters)
    gradients = torch.autograd.grad(loss(w, c, b, d, torch.tensor(count)), [w, c, b, d])
    words, contexts = (
        rows(v.detach().numpy()[None], bias.detach().numpy()[None], np.float32(1), context=context)  # type: ignore[arg-type]
        for v, bias, context in ((w, b, False), (c, d, True))
    )
    before = words.copy(), contexts.copy()
    descend(
        cells_of(np.zeros(1), np.zeros(1), np.array([count])), np.zeros(1, np.int32), words.reshape(-1),
        contexts.reshape(-1), 0, 0, stride_of(width), width, 1e-3,
    )  # fmt: skip
    moved = [(old - new)[0, 0] / 1e-3 for old, new in zip(before, (words, contexts), strict=True)]
    for context, (vector, bias) in enumerate([(gradients[0], gradients[2]), (gradients[1], gradients[3])]):
        scale = max(1.0, float(vector.abs().max()))
        assert moved[context][:width] == pytest.approx(vector.numpy(), abs=1e-3 * scale)
        assert moved[context][width + context] == pytest.approx(float(bias), abs=1e-3 * scale)


def test_the_written_loss_has_the_gradient_that_differences_show() -> None:
    draw = torch.Generator().manual_seed(5)
    inputs = [
        torch.randn(shape, generator=draw, dtype=torch.float64, requires_grad=True) for shape in [(5,), (5,), (), ()]
    ]
    assert torch.autograd.gradcheck(lambda *all_: loss(*all_, torch.tensor(4.0, dtype=torch.float64)), inputs)


def test_an_order_is_a_permutation_that_its_key_alone_decides() -> None:
    orders = np.empty((3, 1000), np.int32)
    for order, key in zip(orders, (7, 8, 7), strict=True):
        shuffle(order, 1000, key)
    assert sorted(orders[0].tolist()) == list(range(1000))
    assert (orders[0] == orders[2]).all()
    assert (orders[0] != orders[1]).mean() > 0.9


def test_every_place_of_an_order_is_as_likely() -> None:
    order, places = np.empty(5, np.int32), np.zeros((5, 5))
    for key in range(4000):
        shuffle(order, 5, key * 0x12345678)
        places[np.arange(5), order] += 1
    assert np.abs(places / 4000 - 0.2).max() < 0.03
