"""The recurrent families: PyTorch's own layers under our weights, states that go on, and masks that come back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from training.engines import device
from training.models.base import Model, build
from training.models.layers import IGNORE
from training.models.recurrent import drop_features
from training.models.saved import load, save

CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
AWD = {"dropout": 0.4, "embedding_dropout": 0.1, "weight_dropout": 0.5}
families = pytest.mark.parametrize("family", list(CELLS))
ties = pytest.mark.parametrize("tied", [True, False])


def model_of(family: str, *, seed: int = 0, vocabulary: int = 50, **options: Any) -> Model:
    torch.manual_seed(seed)
    small = {"layers": 2, "width": 12, "hidden": 20, **options}
    return build(family, small, vocabulary=vocabulary, context=16)


def tokens_of(rows: int, length: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(0, 50, (rows, length), generator=draw), torch.randint(0, 50, (rows, length), generator=draw)


def theirs(model: Model, tokens: Tensor) -> Tensor:
    """The logits by the library's modules with copied weights, batch first."""
    weights, x = dict(model.named_parameters()), model.embed.weight[tokens]
    for n in range(model.config.layers):
        own = {name: weights[f"layers.{n}.{name}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        gates, width = own["weight_ih"].shape
        hidden = own["weight_hh"].shape[1]
        layer = CELLS[model.family](width, hidden, batch_first=True, dtype=x.dtype)
        assert layer.weight_ih_l0.shape == (gates, width)
        x, _ = torch.func.functional_call(layer, {f"{name}_l0": value for name, value in own.items()}, (x,))
    return x @ weights.get("head.weight", model.embed.weight).t()


@families
@ties
def test_loss_and_gradients_are_those_of_the_librarys_own_module(family: str, tied: bool) -> None:
    model, (tokens, targets) = model_of(family, tied=tied).double(), tokens_of(3, 9)
    targets[1, 4:] = IGNORE
    expected = nn.functional.cross_entropy(
        theirs(model, tokens).flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction="sum"
    )
    loss = model(tokens, targets)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    for gradient, expected_gradient in zip(
        gradients, torch.autograd.grad(expected, list(model.parameters())), strict=True
    ):
        assert torch.allclose(gradient, expected_gradient, atol=1e-12)


@families
def test_the_gradient_is_the_slope_of_the_loss(family: str) -> None:
    model = model_of(family, layers=2, width=3, hidden=4, vocabulary=5).double()
    tokens = torch.tensor([[0, 3, 1], [4, 4, 2]])
    targets = torch.tensor([[3, 1, IGNORE], [4, 2, 0]])
    names = [name for name, _ in model.named_parameters()]

    def loss(*weights: Tensor) -> Any:
        model.state = None
        return torch.func.functional_call(model, dict(zip(names, weights, strict=True)), (tokens, targets))

    assert torch.autograd.gradcheck(loss, tuple(model.parameters()))


@families
@ties
def test_two_rows_with_a_carried_state_cost_what_one_row_of_both_costs(family: str, tied: bool) -> None:
    model, (tokens, targets) = model_of(family, tied=tied).double(), tokens_of(2, 16)
    expected = model(tokens, targets)
    model.state = None
    first = model(tokens[:, :7], targets[:, :7])
    state = model.state
    second = model(tokens[:, 7:], targets[:, 7:])
    assert state is not None and {t.shape[1] for t in state} == {2}, "rows lie on axis 1"
    assert (first + second).item() == pytest.approx(expected.item(), rel=1e-12)
    model.state = None
    assert model(tokens[:, 7:], targets[:, 7:]).item() != pytest.approx(second.item(), rel=1e-9)


@families
def test_a_row_does_not_feel_the_others_nor_what_comes_later(family: str) -> None:
    model, (tokens, _) = model_of(family).eval(), tokens_of(2, 16)
    changed = tokens.clone()
    changed[0], changed[1, 9:] = (changed[0] + 1) % 50, (changed[1, 9:] + 1) % 50
    before, after = model.logits(tokens), model.logits(changed)
    assert torch.equal(before[1, :9], after[1, :9]) and not torch.allclose(before[1, 9:], after[1, 9:])


@families
def test_reading_on_from_what_was_read_gives_the_same_scores(family: str) -> None:
    model, (tokens, _) = model_of(family).eval(), tokens_of(2, 16)
    cache = model.cache()
    parts = [model.logits(tokens[:, :10], cache), *(model.logits(tokens[:, i : i + 1], cache) for i in range(10, 16))]
    assert torch.allclose(torch.cat(parts, 1), model.logits(tokens), atol=1e-5)
    assert model.hidden(tokens).shape == (2, 16, 12) and model.state is None


@families
@ties
def test_rows_of_one_token_have_a_loss(family: str, tied: bool) -> None:
    model = model_of(family, tied=tied, layers=1)
    loss = model(torch.tensor([[3]]), torch.tensor([[4]]))
    assert loss.shape == () and loss.item() > 0
    assert model(torch.tensor([[3]]), torch.tensor([[IGNORE]])).item() == 0


@families
@pytest.mark.parametrize("option", list(AWD))
def test_masks_are_torchs_and_come_back_with_its_random_state(family: str, option: str) -> None:
    model, (tokens, targets) = model_of(family, **{option: AWD[option]}), tokens_of(3, 16)
    state = torch.get_rng_state()
    first, second = model(tokens, targets), model(tokens, targets)
    torch.set_rng_state(state)
    model.state = None
    assert torch.equal(model(tokens, targets), first) and not torch.equal(first, second)
    model.eval()
    model.state = None
    alone = model(tokens, targets)
    model.state = None
    assert torch.equal(model(tokens, targets), alone), "nothing is dropped when a model is asked"


def test_variational_dropout_drops_the_same_features_of_a_row_at_every_token() -> None:
    torch.manual_seed(0)
    x = drop_features(torch.ones(7, 3, 200), 0.5)
    assert torch.equal(x[0], x[6]) and not torch.equal(x[0, 0], x[0, 1])
    assert 0.4 < (x == 0).float().mean() < 0.6 and x.mean().item() == pytest.approx(1.0, abs=0.2)


def test_embedding_dropout_drops_a_word_whole_and_wherever_it_stands() -> None:
    model, tokens = model_of("gru", embedding_dropout=0.5), torch.arange(50).repeat(2, 1)
    dropped = model._embedded(tokens).eq(0).all(-1)
    assert torch.equal(dropped[0], dropped[1]) and 10 < dropped[0].sum() < 40
    embedded = model._embedded(tokens)[0]
    present = ~embedded.eq(0).all(-1)
    assert torch.allclose(embedded[present], 2 * model.embed.weight[present])


def test_weight_dropout_falls_on_the_hidden_to_hidden_matrix_alone() -> None:
    layer = model_of("lstm", weight_dropout=0.5).layers[0]
    x = torch.randn(1, 2, 12)
    assert torch.equal(layer(x)[0], layer(x)[0]), "of a state that is zero nothing is dropped"
    outputs, _ = layer(torch.randn(6, 2, 12))
    outputs.sum().backward()
    share = layer.weight_hh.grad.eq(0).float().mean()
    assert 0.4 < share < 0.6 and not layer.weight_ih.grad.eq(0).any()


def test_the_last_layer_is_as_wide_as_the_embedding_where_the_head_is_tied() -> None:
    tied, untied = model_of("lstm", layers=3), model_of("lstm", layers=3, tied=False)
    assert [layer.hidden for layer in tied.layers] == [20, 20, 12]
    assert [layer.hidden for layer in untied.layers] == [20, 20, 20] and untied.head.weight.shape == (50, 20)


@families
def test_every_parameter_has_the_kind_its_optimizer_needs(family: str) -> None:
    kinds = model_of(family, tied=False).kinds()
    assert kinds["embed.weight"] == kinds["head.weight"] == "embedding"
    assert kinds["layers.0.weight_ih"] == kinds["layers.1.weight_hh"] == "matrix"
    assert kinds["layers.0.bias_ih"] == kinds["layers.1.bias_hh"] == "vector"


@families
def test_a_gate_reads_numbers_of_about_size_one_at_first(family: str) -> None:
    model = model_of(family, layers=3, width=128, hidden=128)
    x = model.embed.weight[torch.randint(0, 50, (64, 16))]
    for layer in model.layers:
        assert 0.4 < (x @ layer.weight_ih.t()).std() < 2.5
        x, _ = layer(x)


@families
def test_a_saved_model_says_the_same(family: str, tmp_path: Path) -> None:
    model, (tokens, _) = model_of(family, tied=False).eval(), tokens_of(2, 5)
    save(model, tmp_path)
    assert torch.equal(load(tmp_path).logits(tokens), model.logits(tokens))


# PyTorch has no LSTM in bf16 on a processor that would only emulate it, and training is refused there
@pytest.mark.skipif(device.precision("auto", torch.device("cpu")) == "fp32", reason="no bf16 here")
@families
def test_bf16_stays_near_fp32(family: str) -> None:
    model, (tokens, targets) = model_of(family), tokens_of(4, 16)
    exact = model(tokens, targets)
    model.state = None
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(tokens, targets)
    loss.backward()
    assert loss.item() == pytest.approx(exact.item(), rel=5e-3)
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())
