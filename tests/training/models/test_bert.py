"""The encoder against transformers' own classes with copied weights, and what must hold by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import BertConfig, BertForPreTraining

from training.models.base import Model, build
from training.models.layers import EPS, IGNORE
from training.models.saved import load, save

SMALL = {"layers": 2, "heads": 4, "width": 32, "dropout": 0.0}


def small(**options: Any) -> Model:
    torch.manual_seed(0)
    model = build("bert", {**SMALL, **options}, vocabulary=50, context=20)
    for parameter in model.parameters():  # far from the start's zeros and ones
        torch.nn.init.normal_(parameter, 0.5 if parameter.dim() == 1 else 0.0, 0.2)
    return model


def pairs_of_names() -> Iterator[tuple[str, str]]:
    """Ours and theirs, less .weight and .bias."""
    yield from (("embed_norm", "bert.embeddings.LayerNorm"), ("pool", "bert.pooler.dense"))
    yield from (("transform", "cls.predictions.transform.dense"), ("pair", "cls.seq_relationship"))
    yield "transform_norm", "cls.predictions.transform.LayerNorm"
    for layer in range(SMALL["layers"]):  # type: ignore[call-overload]
        ours, theirs = f"blocks.{layer}", f"bert.encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            yield f"{ours}.attention.{part}", f"{theirs}.attention.self.{part}"
        yield f"{ours}.attention.out", f"{theirs}.attention.output.dense"
        yield f"{ours}.attention_norm", f"{theirs}.attention.output.LayerNorm"
        yield f"{ours}.mlp.up", f"{theirs}.intermediate.dense"
        yield f"{ours}.mlp.down", f"{theirs}.output.dense"
        yield f"{ours}.mlp_norm", f"{theirs}.output.LayerNorm"


def parameters_of_both(model: Model, theirs: torch.nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    our_parameters, their_parameters = dict(model.named_parameters()), dict(theirs.named_parameters())
    yield our_parameters["embed.weight"], their_parameters["bert.embeddings.word_embeddings.weight"]
    yield our_parameters["positions.weight"], their_parameters["bert.embeddings.position_embeddings.weight"]
    yield our_parameters["types.weight"], their_parameters["bert.embeddings.token_type_embeddings.weight"]
    yield our_parameters["bias"], their_parameters["cls.predictions.bias"]
    for ours, their in pairs_of_names():
        for part in ("weight", "bias"):
            yield our_parameters[f"{ours}.{part}"], their_parameters[f"{their}.{part}"]


def library(model: Model) -> torch.nn.Module:
    """BertForPreTraining with the weights of ours."""
    config = BertConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        max_position_embeddings=20, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, layer_norm_eps=EPS,
        pad_token_id=None,  # theirs never trains the padding's embedding
    )  # fmt: skip
    theirs = BertForPreTraining(config)
    copied = list(parameters_of_both(model, theirs))
    assert len(copied) == len(list(model.parameters())) == len(list(theirs.parameters()))
    for ours, their in copied:
        their.data.copy_(ours.data)
    return theirs


def asked() -> dict[str, Tensor]:
    """Three rows, two of them short, as pairs: one in order, one not, one that is no pair."""
    torch.manual_seed(1)
    tokens, lengths = torch.randint(0, 50, (3, 16)), torch.tensor([16, 11, 5])
    inside = torch.arange(16) < lengths[:, None]
    targets = torch.where(inside & (torch.rand(3, 16) < 0.3), tokens, IGNORE)
    targets[:, 1] = tokens[:, 1]
    segments = ((torch.arange(16) > 6) & inside).long()
    pairs = torch.tensor([0, 1, IGNORE])
    return {"tokens": tokens, "targets": targets, "lengths": lengths, "segments": segments, "pairs": pairs}


def their_loss(theirs: torch.nn.Module, rows: dict[str, Tensor]) -> Tensor:
    attention_mask = (torch.arange(16) < rows["lengths"][:, None]).long()
    outputs = theirs(rows["tokens"], attention_mask=attention_mask, token_type_ids=rows["segments"])
    loss = F.cross_entropy(outputs.prediction_logits.flatten(0, 1), rows["targets"].flatten(), reduction="sum")
    apart = F.cross_entropy(outputs.seq_relationship_logits, rows["pairs"], reduction="none")
    return loss + (apart * (rows["targets"] != IGNORE).sum(1)).sum()


def test_loss_and_gradients_are_those_of_the_library() -> None:
    model = small()
    theirs, rows = library(model), asked()
    our_loss, reference_loss = model(**rows), their_loss(theirs, rows)
    assert our_loss.item() == pytest.approx(reference_loss.item(), rel=1e-5)
    our_loss.backward()
    reference_loss.backward()
    for ours, their in parameters_of_both(model, theirs):
        assert ours.grad is not None and their.grad is not None
        assert torch.allclose(ours.grad, their.grad, atol=2e-4, rtol=2e-4)


def test_logits_are_those_of_the_library() -> None:
    model, tokens = small().eval(), torch.randint(0, 50, (2, 20))
    with torch.no_grad():
        assert torch.allclose(model.logits(tokens), library(model).eval()(tokens).prediction_logits, atol=1e-4)


def test_gradients_hold_in_double_precision() -> None:
    torch.manual_seed(0)
    model = build("bert", {"layers": 1, "heads": 2, "width": 4, "dropout": 0.0}, vocabulary=7, context=6).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.7)
    tokens, targets = torch.randint(0, 7, (2, 6)), torch.full((2, 6), IGNORE)
    targets[0, 2], targets[1, 1] = 3, 5
    names, values = zip(*model.named_parameters(), strict=True)
    more = {"lengths": torch.tensor([6, 4]), "segments": (tokens > 3).long(), "pairs": torch.tensor([1, 0])}

    def loss(*weights: Tensor) -> Tensor:
        value: Tensor = torch.func.functional_call(
            model, dict(zip(names, weights, strict=True)), (tokens, targets), {**more, "label_smoothing": 0.1}
        )
        return value

    assert torch.autograd.gradcheck(loss, values)


def test_every_token_sees_both_sides_and_nothing_behind_its_row() -> None:
    model, tokens = small().eval(), torch.randint(0, 50, (2, 16))
    lengths = torch.tensor([16, 9])
    before = model.hidden(tokens, lengths)
    changed = tokens.clone()
    changed[:, 12] = (changed[:, 12] + 1) % 50
    after = model.hidden(changed, lengths)
    assert (before[0] != after[0]).any(-1).all()
    assert torch.equal(before[1, :9], after[1, :9])
    assert torch.allclose(before[1, :9], model.hidden(tokens[1:, :9])[0], atol=1e-5)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_the_form_for_bf16_computes_the_same(dropout: float) -> None:
    model, rows = small(dropout=dropout).eval(), asked()
    plain = model(**rows)
    with torch.autocast("cpu", torch.bfloat16):
        fast = model(**rows)
        assert model.train()(**rows).isfinite()
    assert fast.item() == pytest.approx(plain.item(), rel=2e-2)


def test_rows_without_targets_cost_nothing_and_reach_every_parameter() -> None:
    model, rows = small(), asked()
    rows = {**rows, "targets": torch.full((3, 16), IGNORE), "lengths": torch.zeros(3, dtype=torch.long)}
    loss = model(**rows)
    loss.backward()
    assert loss.item() == 0
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


def test_dropout_repeats_with_the_state_of_the_generator() -> None:
    model, rows = small(dropout=0.3), asked()
    losses = []
    for _ in range(2):
        torch.manual_seed(9)
        losses.append(model(**rows).item())
    assert losses[0] == losses[1] != model(**rows).item()


def test_a_batch_can_be_cut_anywhere() -> None:
    model, rows = small(), asked()
    parts = [model(**{name: tensor[at : at + 1] for name, tensor in rows.items()}) for at in range(3)]
    assert sum(part.item() for part in parts) == pytest.approx(model(**rows).item(), rel=1e-5)


def test_every_parameter_has_the_kind_its_optimizer_needs() -> None:
    kinds = small().kinds()
    assert kinds["embed.weight"] == kinds["types.weight"] == kinds["pair.weight"] == "embedding"
    assert kinds["blocks.0.attention.query.weight"] == kinds["transform.weight"] == "matrix"
    assert kinds["embed_norm.weight"] == kinds["bias"] == kinds["blocks.1.mlp.up.bias"] == "vector"


def test_a_saved_model_gives_the_same_logits(tmp_path: Path) -> None:
    model = small().eval()
    save(model, tmp_path)
    tokens = torch.randint(0, 50, (2, 20))
    assert torch.equal(load(tmp_path).logits(tokens), model.logits(tokens))
