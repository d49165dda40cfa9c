"""What a layer knows is found there and nowhere else; the mix finds the layer; the same vectors, the same figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from training.evaluation.base import Subject
from training.evaluation.held_out import HeldOut
from training.evaluation.probe import Probe, fit_probe, standardise
from training.evaluation.section import Probe as Options
from training.evaluation.sentence_vectors import layer_vectors
from training.models.base import build
from training.models.saved import save


def made(known: int, *, texts: int = 240, layers: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Vectors of which the layer `known` tells the topic and the others nothing."""
    torch.manual_seed(2)
    vectors, topics = torch.randn(texts, layers, 8, dtype=torch.float64), torch.arange(texts) % 4
    vectors[torch.arange(texts), known, topics] += 4
    return vectors, topics, torch.arange(texts) % 5 < 3


def test_the_layer_that_knows_is_found_and_the_mix_leans_on_it() -> None:
    vectors, topics, learns = made(1)
    scaled = standardise(vectors, learns)
    by_layer = [fit_probe(scaled[:, at : at + 1], topics, learns, 1.0)[0].mean().item() for at in range(3)]
    assert by_layer[1] > 0.95 and max(by_layer[0], by_layer[2]) < 0.5
    right, mix = fit_probe(scaled, topics, learns, 1.0)
    assert right.mean() > 0.95 and mix.shares()[1] > 0.8
    assert len(right) == int((~learns).sum())


def test_a_regression_ends_where_its_gradient_does() -> None:
    vectors, topics, learns = made(0)
    known = standardise(vectors, learns)[learns][:, 0]
    found, _ = fit_probe(standardise(vectors, learns)[:, :1], topics, learns, 3.0)
    weight, bias = (torch.zeros(4, size, dtype=torch.float64, requires_grad=True) for size in (8, 1))
    for _ in range(3000):  # plain gradient descent on the same loss, as slow as it is sure
        said = known @ weight.T + bias.squeeze(1)
        loss = torch.nn.functional.cross_entropy(said, topics[learns], reduction="sum") + 1.5 * weight.square().sum()
        for parameter, slope in zip((weight, bias), torch.autograd.grad(loss, (weight, bias)), strict=True):
            parameter.data -= 0.01 * slope
    said = standardise(vectors, learns)[~learns][:, 0] @ weight.T + bias.squeeze(1)
    assert torch.equal(found, (said.argmax(1) == topics[~learns]).double())


def test_features_are_scaled_by_what_is_learned_from_alone() -> None:
    vectors, _, learns = made(0)
    scaled = standardise(vectors, learns)
    assert torch.allclose(scaled[learns].mean(0), torch.zeros(3, 8, dtype=torch.float64), atol=1e-12)
    vectors[~learns] *= 9
    assert torch.equal(standardise(vectors, learns)[learns], scaled[learns])


@pytest.mark.parametrize(("family", "layers"), [("bilstm", 3), ("bert", 3), ("gpt", 3), ("lstm", 2)])
def test_every_layer_is_seen_the_embedding_first(corpus: Any, family: str, layers: int) -> None:
    torch.manual_seed(1)
    options = {"layers": 2, "width": 16, **({} if "lstm" in family else {"heads": 2})}
    model = build(family, options, vocabulary=420, context=24).eval()
    tokenizer = corpus.inputs.one("tokenizer").file("tokenizer.json")
    found = layer_vectors(model, tokenizer, ["the quiet river", "安静的河流" * 9])
    assert found.shape == (2, layers, 32 if family == "bilstm" else 16)
    assert not torch.allclose(found[:, 0], found[:, 1])


def test_scores_are_by_layer_and_the_shares_are_told(corpus: Any, tmp_path: Path) -> None:
    torch.manual_seed(1)
    save(build("bilstm", {"layers": 1, "width": 16}, vocabulary=420, context=24), tmp_path / "model")
    subject = Subject(tmp_path / "model", HeldOut.of(corpus.inputs), torch.device("cpu"))
    words = {"water": ["river", "河流"], "house": ["station", "车站"]}
    records = [
        {"text": f"{word} {word} {at}", "label": label, "split": "dev" if at % 3 == 0 else "train"}
        for at in range(12)
        for label, some in words.items()
        for word in some
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps(one) for one in records), encoding="utf-8")
    task = Probe(Options(files=[str(tmp_path / "t.jsonl")]), 0)
    results = [json.loads(json.dumps(task.work(piece, subject))) for piece in task.cut(subject.held_out)]
    found = task.merge(subject.held_out, results)
    assert [score.metric for score in found.scores] == [
        "t.jsonl: accuracy layer 0", "t.jsonl: accuracy layer 1", "t.jsonl: accuracy mix",
    ]  # fmt: skip
    assert all(score.items == 16 and score.interval for score in found.scores)
    (told,) = found.files["probe.json"]
    assert sum(told["mix"]["shares"]) == pytest.approx(1) and told["most_frequent"] == 0.5
    assert results == [json.loads(json.dumps(task.work(piece, subject))) for piece in task.cut(subject.held_out)]
