"""Probes find a topic in the layer that holds it, the mix selects that layer, and results are reproducible."""

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


def layered_vectors(
    informative: int, *, texts: int = 240, layers: int = 3
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Vectors with the topic in the layer `informative` alone; the topics; and a flag for the texts to train on."""
    torch.manual_seed(2)
    vectors, topics = torch.randn(texts, layers, 8, dtype=torch.float64), torch.arange(texts) % 4
    vectors[torch.arange(texts), informative, topics] += 4
    return vectors, topics, torch.arange(texts) % 5 < 3


def test_the_informative_layer_has_the_best_accuracy_and_the_largest_share_of_the_mix() -> None:
    vectors, topics, train = layered_vectors(1)
    scaled = standardise(vectors, train)
    by_layer = [fit_probe(scaled[:, at : at + 1], topics, train, 1.0)[0].mean().item() for at in range(3)]
    assert by_layer[1] > 0.95 and max(by_layer[0], by_layer[2]) < 0.5
    right, mix = fit_probe(scaled, topics, train, 1.0)
    assert right.mean() > 0.95 and mix.shares()[1] > 0.8
    assert len(right) == int((~train).sum())


def test_a_regression_ends_where_its_gradient_does() -> None:
    vectors, topics, train = layered_vectors(0)
    train_vectors = standardise(vectors, train)[train][:, 0]
    correct, _ = fit_probe(standardise(vectors, train)[:, :1], topics, train, 3.0)
    weight, bias = (torch.zeros(4, size, dtype=torch.float64, requires_grad=True) for size in (8, 1))
    for _ in range(3000):  # plain gradient descent on the same loss, as slow as it is sure
        logits = train_vectors @ weight.T + bias.squeeze(1)
        loss = torch.nn.functional.cross_entropy(logits, topics[train], reduction="sum") + 1.5 * weight.square().sum()
        for parameter, slope in zip((weight, bias), torch.autograd.grad(loss, (weight, bias)), strict=True):
            parameter.data -= 0.01 * slope
    logits = standardise(vectors, train)[~train][:, 0] @ weight.T + bias.squeeze(1)
    assert torch.equal(correct, (logits.argmax(1) == topics[~train]).double())


def test_features_are_scaled_by_what_is_learned_from_alone() -> None:
    vectors, _, train = layered_vectors(0)
    scaled = standardise(vectors, train)
    assert torch.allclose(scaled[train].mean(0), torch.zeros(3, 8, dtype=torch.float64), atol=1e-12)
    vectors[~train] *= 9
    assert torch.equal(standardise(vectors, train)[train], scaled[train])


@pytest.mark.parametrize(("family", "layers"), [("bilstm", 3), ("bert", 3), ("gpt", 3), ("lstm", 2)])
def test_every_layer_is_seen_the_embedding_first(corpus: Any, family: str, layers: int) -> None:
    torch.manual_seed(1)
    options = {"layers": 2, "width": 16, **({} if "lstm" in family else {"heads": 2})}
    model = build(family, options, vocabulary=420, context=24).eval()
    tokenizer = corpus.inputs.single("tokenizer").file("tokenizer.json")
    vectors = layer_vectors(model, tokenizer, ["the quiet river", "安静的河流" * 9])
    assert vectors.shape == (2, layers, 32 if family == "bilstm" else 16)
    assert not torch.allclose(vectors[:, 0], vectors[:, 1])


def test_scores_are_by_layer_and_the_file_has_the_shares(corpus: Any, tmp_path: Path) -> None:
    torch.manual_seed(1)
    save(build("bilstm", {"layers": 1, "width": 16}, vocabulary=420, context=24), tmp_path / "model")
    subject = Subject(tmp_path / "model", HeldOut.of(corpus.inputs), torch.device("cpu"))
    words = {"water": ["river", "河流"], "house": ["station", "车站"]}
    records = [
        {"text": f"{word} {word} {at}", "label": label, "split": "dev" if at % 3 == 0 else "train"}
        for at in range(12)
        for label, of_topic in words.items()
        for word in of_topic
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    task = Probe(Options(files=[str(tmp_path / "t.jsonl")]), 0)
    results = [json.loads(json.dumps(task.work(item, subject))) for item in task.cut(subject.held_out)]
    result = task.merge(subject.held_out, results)
    assert [score.metric for score in result.scores] == [
        "t.jsonl: accuracy layer 0", "t.jsonl: accuracy layer 1", "t.jsonl: accuracy mix",
    ]  # fmt: skip
    assert all(score.items == 16 and score.interval for score in result.scores)
    (summary,) = result.files["probe.json"]
    assert sum(summary["mix"]["shares"]) == pytest.approx(1) and summary["most_frequent"] == 0.5
    assert results == [json.loads(json.dumps(task.work(item, subject))) for item in task.cut(subject.held_out)]
