"""The two loops against the gradient of the loss they claim to descend, computed by torch in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.vectors.cbow import cbow
from training.vectors.skipgram import skipgram

RATE, STRIDE, ROWS = 0.05, 32, 9
LOOPS = {"skipgram": skipgram, "cbow": cbow}
BLANK = ROWS  # the row after the last


def window_loss(objective: str, inputs: Tensor, outputs: Tensor, labels: Tensor) -> Tensor:
    """Mikolov et al. 2013: -log of the chance that each target is answered rightly; inputs c, d; outputs t, d."""
    words = inputs.mean(0, keepdim=True) if objective == "cbow" else inputs
    scores = words @ outputs.T
    return -torch.nn.functional.logsigmoid(torch.where(labels > 0, scores, -scores)).sum()


def tables(seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    draw = np.random.default_rng(seed)
    tables = [np.zeros((ROWS + 1, STRIDE), np.float32) for _ in range(2)]
    for table in tables:
        table[:ROWS, :20] = draw.normal(size=(ROWS, 20)) * 0.5
    return tables[0], tables[1]


def moved(
    objective: str, windows: list[tuple[list[int], list[int], list[int]]], rate: float = RATE
) -> tuple[Any, Any, float]:
    """Run the loop over windows (contexts, targets, labels), filled up as windows.py fills them up."""
    inputs, outputs = tables(1)
    contexts, context_ends, targets, labels, target_ends = [], [], [], [], []
    for around, predicted, label in windows:
        contexts += around + [BLANK] * (len(around) % 2)
        context_ends.append(len(contexts))
        more = -len(predicted) % 6
        targets += predicted + [BLANK] * more
        labels += [float(value) for value in label] + [0.5] * more
        target_ends.append(len(targets))
    lists = [np.array(x, np.int32) for x in (contexts, context_ends, targets)]
    loss, _ = LOOPS[objective](
        inputs.reshape(-1), outputs.reshape(-1), STRIDE, *lists, np.array(labels, np.float32),
        np.array(target_ends, np.int32), len(windows), rate, 1,
    )  # fmt: skip
    return inputs, outputs, loss


# negative sampling: one word and five others; a path of a tree: any answers; more targets than are moved at once
CASES = {
    "negatives": ([0, 1, 2, 3], [4, 5, 6, 7, 8, 3], [1, 0, 0, 0, 0, 0]),
    "an odd number of words": ([0, 1, 2], [4, 5, 6, 7, 8, 3], [1, 0, 0, 0, 0, 0]),
    "few negatives": ([5, 6], [4, 2], [1, 0]),
    "a path": ([0, 1, 3], [1, 2, 3, 4, 5, 6, 7, 8], [1, 0, 0, 1, 1, 0, 1, 0]),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("objective", LOOPS)
def test_a_window_moves_the_vectors_down_the_gradient_of_its_loss(objective: str, case: str) -> None:
    around, predicted, label = CASES[case]
    before = [torch.tensor(table, dtype=torch.float64, requires_grad=True) for table in tables(1)]
    loss = window_loss(objective, before[0][around], before[1][predicted], torch.tensor(label))
    loss.backward()  # type: ignore[no-untyped-call]
    inputs, outputs, summed = moved(objective, [CASES[case]])
    assert summed == pytest.approx(loss.item(), rel=1e-5)
    # word2vec.c gives every word the change of the mean whole: their number times the gradient
    times = len(around) if objective == "cbow" else 1
    for table, expected, factor in ((inputs, before[0], times), (outputs, before[1], 1)):
        assert expected.grad is not None
        np.testing.assert_allclose(table, (expected - factor * RATE * expected.grad).detach().numpy(), atol=2e-6)
        assert not table[BLANK].any()


@pytest.mark.parametrize("objective", LOOPS)
def test_the_gradient_of_the_written_loss_is_right(objective: str) -> None:
    inputs, outputs = (torch.tensor(table[:4, :5], dtype=torch.float64, requires_grad=True) for table in tables(2))
    labels = torch.tensor([1, 0, 0, 1])
    assert torch.autograd.gradcheck(lambda a, b: window_loss(objective, a, b, labels), (inputs, outputs))


@pytest.mark.parametrize("objective", LOOPS)
def test_windows_follow_one_another(objective: str) -> None:
    both = moved(objective, [CASES["negatives"], CASES["a path"]])
    inputs, outputs = (torch.tensor(table, dtype=torch.float64) for table in tables(1))
    for around, predicted, label in (CASES["negatives"], CASES["a path"]):
        words, answers = inputs[around].requires_grad_(), outputs[predicted].requires_grad_()
        window_loss(objective, words, answers, torch.tensor(label)).backward()  # type: ignore[no-untyped-call]
        assert words.grad is not None and answers.grad is not None
        times = len(around) if objective == "cbow" else 1
        inputs[around] = (words - times * RATE * words.grad).detach()
        outputs[predicted] = (answers - RATE * answers.grad).detach()
    np.testing.assert_allclose(both[0], inputs.numpy(), atol=4e-6)
    np.testing.assert_allclose(both[1], outputs.numpy(), atol=4e-6)


@pytest.mark.parametrize("objective", LOOPS)
def test_a_target_that_comes_twice_moves_twice(objective: str) -> None:
    once = moved(objective, [([0, 1], [4, 5, 6], [1, 0, 0])])
    twice = moved(objective, [([0, 1], [4, 5, 5], [1, 0, 0])])
    start = tables(1)[1]
    np.testing.assert_allclose(twice[1][5] - start[5], 2 * (once[1][5] - start[5]), atol=1e-6)


@pytest.mark.parametrize("objective", LOOPS)
def test_at_rate_zero_nothing_moves_and_the_loss_is_the_same(objective: str) -> None:
    inputs, outputs, loss = moved(objective, [CASES["negatives"]], rate=0.0)
    for table, before in zip((inputs, outputs), tables(1), strict=True):
        assert np.array_equal(table, before)
    assert loss == moved(objective, [CASES["negatives"]])[2]
