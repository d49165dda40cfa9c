"""The bidirectional family: PyTorch's own layers under our weights, directions that never meet, and rows cut short."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.core.config import Component
from training import objectives
from training.models.base import Model, build
from training.models.bilstm import backward_positions
from training.models.saved import load, save
from training.objectives.base import Objective, Tensors

ties = pytest.mark.parametrize("tied", [True, False])


def model_of(*, seed: int = 0, vocabulary: int = 50, **options: Any) -> Model:
    torch.manual_seed(seed)
    return build("bilstm", {"layers": 2, "width": 12, **options}, vocabulary=vocabulary, context=16)


def objective_of(**options: Any) -> Objective:
    component = Component(name="bidirectional", options=options)
    objective: Objective = objectives.OBJECTIVES.create(component, Path("tokenizer.json"))
    return objective


def batch_of(lengths: list[int], longest: int = 9, vocabulary: int = 50) -> Tensors:
    rows = np.random.default_rng(1).integers(0, vocabulary, (len(lengths), longest))
    none = np.zeros(len(lengths), np.uint64)
    return objective_of().batch(rows, np.array(lengths), none)[0]


def librarys(model: Model, layers: nn.ModuleList, x: Tensor) -> Tensor:
    """What a direction's layers say, by nn.LSTM with copied weights. x: B, T, C, in the order it is read."""
    for n, own in enumerate(layers):
        theirs = nn.LSTM(12, 12, batch_first=True, dtype=x.dtype)
        outputs, _ = torch.func.functional_call(theirs, {f"{name}_l0": p for name, p in own.named_parameters()}, (x,))
        x = outputs + x if n else outputs
    return x


@ties
def test_loss_and_gradients_are_those_of_the_librarys_own_modules(tied: bool) -> None:
    model, batch = model_of(tied=tied).double(), batch_of([9, 9])
    x, head = model.embed.weight[batch["tokens"]], (model.embed if tied else model.head).weight
    onward, back = librarys(model, model.onward, x), librarys(model, model.back, x.flip(1))
    tokens = batch["tokens"]
    expected = nn.functional.cross_entropy(
        (onward[:, :-1] @ head.t()).flatten(0, 1), tokens[:, 1:].flatten(), reduction="sum"
    ) + nn.functional.cross_entropy(
        (back[:, :-1] @ head.t()).flatten(0, 1), tokens.flip(1)[:, 1:].flatten(), reduction="sum"
    )
    loss = model(**batch)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    for gradient, expected_gradient in zip(
        gradients, torch.autograd.grad(expected, list(model.parameters())), strict=True
    ):
        assert torch.allclose(gradient, expected_gradient, atol=1e-12)


def test_one_layer_is_the_librarys_bidirectional_lstm() -> None:
    model, tokens = model_of(layers=1).eval(), batch_of([9, 9])["tokens"]
    theirs = nn.LSTM(12, 12, batch_first=True, bidirectional=True)
    weights = {f"{name}_l0": p for name, p in model.onward[0].named_parameters()}
    weights |= {f"{name}_l0_reverse": p for name, p in model.back[0].named_parameters()}
    theirs.load_state_dict(weights)
    x = model.embed.weight[tokens]
    layers = model.layers(tokens)
    assert torch.equal(layers[0], torch.cat([x, x], -1)), "layer 0 is the embedding, twice"
    assert torch.allclose(layers[1], theirs(x)[0], atol=1e-6)
    assert torch.equal(model.hidden(tokens), layers[-1])


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    model, batch = model_of(width=3, vocabulary=5).double(), batch_of([4, 2], 4, 5)
    names = [name for name, _ in model.named_parameters()]

    def loss(*weights: Tensor) -> Any:
        return torch.func.functional_call(model, dict(zip(names, weights, strict=True)), (), batch)

    assert torch.autograd.gradcheck(loss, tuple(model.parameters()))


def test_no_direction_sees_the_token_it_predicts() -> None:
    model, tokens = model_of().eval(), batch_of([9, 9])["tokens"]
    changed = tokens.clone()
    changed[:, 4] = (changed[:, 4] + 1) % 50
    (forward, backward), (forward_after, backward_after) = model.directions(tokens), model.directions(changed)
    assert torch.equal(forward[:, :4], forward_after[:, :4]) and not torch.allclose(
        forward[:, 4:], forward_after[:, 4:]
    )
    assert torch.equal(backward[:, 5:], backward_after[:, 5:]) and not torch.allclose(
        backward[:, :5], backward_after[:, :5]
    )
    assert torch.allclose(model.logits(tokens), forward, atol=1e-6)


def test_what_lies_behind_a_short_row_is_never_read() -> None:
    model, batch = model_of().eval(), batch_of([9, 5, 1, 0])
    lengths, tokens = torch.tensor([9, 5, 1, 0]), batch["tokens"].clone()
    before = model.layers(tokens, lengths)
    tokens[1, 5:], tokens[2, 1:], tokens[3] = 7, 7, 7
    after = model.layers(tokens, lengths)
    alone = model.layers(tokens[1:2, :5])
    for row, length in enumerate(lengths.tolist()):
        assert torch.allclose(before[:, row, :length], after[:, row, :length], atol=1e-6)
    assert torch.allclose(after[:, 1, :5], alone[:, 0], atol=1e-6)


def test_reading_from_the_end_twice_is_reading_from_the_start() -> None:
    tokens, lengths = torch.arange(27).view(3, 9), torch.tensor([9, 4, 0])
    backward_order = backward_positions(tokens, lengths)
    assert backward_order[1].tolist() == [3, 2, 1, 0, 4, 5, 6, 7, 8] and backward_order[2].tolist() == list(range(9))
    assert torch.equal(tokens.gather(1, backward_order).gather(1, backward_order), tokens)
    assert torch.equal(backward_positions(tokens)[0], torch.arange(8, -1, -1))


def test_masks_come_back_with_torchs_random_state() -> None:
    model, batch = model_of(dropout=0.4), batch_of([9, 9])
    state = torch.get_rng_state()
    first, second = model(**batch), model(**batch)
    torch.set_rng_state(state)
    assert torch.equal(model(**batch), first) and not torch.equal(first, second)


@ties
def test_a_saved_model_says_the_same(tied: bool, tmp_path: Path) -> None:
    model, tokens = model_of(tied=tied).eval(), batch_of([9, 9])["tokens"]
    save(model, tmp_path)
    assert torch.equal(load(tmp_path).layers(tokens), model.layers(tokens))
    assert set(model.kinds().values()) == {"embedding", "matrix", "vector"}
