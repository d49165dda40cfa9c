"""Sentence vectors: metrics by brute force, before and after training, in English and Chinese; texts of any length."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.core.inputs import Inputs
from training.evaluation import sentence_vectors
from training.evaluation.base import Score, Subject
from training.evaluation.embeddings import Embeddings, by_passage, by_topic
from training.evaluation.held_out import HeldOut
from training.evaluation.initial_model import training_start_of
from training.evaluation.section import Embeddings as Options
from training.models.base import build
from training.models.saved import save
from training.trainer.initial import first_model

TEXTS = ["the quiet river", "the old station", "安静的河流", "古老的车站", "a letter", "一封信"]


@pytest.fixture(scope="module")
def subject(corpus: Any) -> Subject:
    return Subject(corpus.inputs.single("model").folder("model"), HeldOut.of(corpus.inputs), torch.device("cpu"))


@pytest.fixture(scope="module")
def tokenizer(corpus: Any) -> Path:
    path: Path = corpus.inputs.single("tokenizer").file("tokenizer.json")
    return path


@pytest.fixture
def options(tmp_path: Path) -> Options:
    topics = [{"text": text, "label": "ab"[at % 2]} for at, text in enumerate(TEXTS)]
    pairs = [{"question": "哪条河？", "context": TEXTS[2]}, {"question": "哪里？", "context": TEXTS[3]}]
    for name, records in (("t.jsonl", topics), ("p.jsonl", [*pairs, {"question": "河流？", "context": TEXTS[2]}])):
        (tmp_path / name).write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return Options(topics=[str(tmp_path / "t.jsonl")], pairs=[str(tmp_path / "p.jsonl")])


def evaluate(options: Options, subject: Subject) -> tuple[list[Score], Any]:
    task = Embeddings(options, 0)
    items = json.loads(json.dumps(task.cut(subject.held_out)))
    results = [json.loads(json.dumps(task.work(item, subject))) for item in items]
    result = task.merge(subject.held_out, results)
    return result.scores, result.files["embeddings.json"]


def test_topics_are_ranked_as_brute_force_ranks_them() -> None:
    torch.manual_seed(3)
    vectors, labels = torch.randn(23, 4), [*("abc"[at % 3] for at in range(22)), "lone"]
    queries, items = by_topic(vectors, labels)
    assert queries == list(range(22)), "a text without another of its topic is no query"
    unit = (vectors / vectors.norm(dim=1, keepdim=True)).double().numpy()
    for at in queries:
        order = sorted((other for other in range(23) if other != at), key=lambda other: -float(unit[at] @ unit[other]))
        same = [labels[other] == labels[at] for other in order]
        ranks = [rank for rank, is_same in enumerate(same, 1) if is_same]
        precision = np.mean([(hit + 1) / rank for hit, rank in enumerate(ranks)])
        nearer = [rank < other_rank for rank in ranks for other_rank, is_same in enumerate(same, 1) if not is_same]
        assert items["precision_at_1"][at] == same[0]
        assert items["mean_average_precision"][at] == pytest.approx(precision)
        assert items["same_topic_auc"][at] == pytest.approx(np.mean(nearer))


def test_a_passage_is_ranked_among_all_and_a_tie_counts_half() -> None:
    passages = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    items = by_passage(torch.tensor([[1.0, 0.1], [1.0, 0.1], [1.0, -1.0]]), passages, [0, 1, 2])
    assert items["accuracy_at_1"] == [1.0, 0.0, 0.0]
    assert items["mean_reciprocal_rank"] == pytest.approx([1, 1 / 3, 1 / 2])
    collapsed = by_passage(torch.ones(2, 2), torch.ones(3, 2), [0, 2])
    assert collapsed["mean_reciprocal_rank"] == [0.5, 0.5]


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, labels = torch.randn(17, 4), ["ab"[at % 2] for at in range(17)]
    expected, pairs = by_topic(vectors, labels), by_passage(vectors, vectors[:5], [0] * 17)
    monkeypatch.setattr("training.evaluation.embeddings.BLOCK", 3)
    again = by_topic(vectors, labels)
    assert again[0] == expected[0]
    for metric, values in expected[1].items():
        assert again[1][metric] == pytest.approx(values)
    for metric, values in by_passage(vectors, vectors[:5], [0] * 17).items():
        assert pairs[metric] == pytest.approx(values)


def test_scores_name_files_and_hold_no_path(options: Options, subject: Subject, tmp_path: Path) -> None:
    scores, summaries = evaluate(options, subject)
    assert [score.metric for score in scores] == [
        "t.jsonl: precision_at_1", "t.jsonl: mean_average_precision", "t.jsonl: same_topic_auc",
        "p.jsonl: accuracy_at_1", "p.jsonl: mean_reciprocal_rank",
    ]  # fmt: skip
    assert str(tmp_path) not in json.dumps([summaries, [score.to_dict() for score in scores]])
    assert [summary["file"] for summary in summaries] == ["t.jsonl", "p.jsonl"]
    assert scores[3].language == "zh" and scores[3].items == 3 and summaries[1]["passages"] == 2
    assert summaries[0]["chance"]["precision_at_1"] == pytest.approx(2 / 5)


def test_a_model_is_compared_with_its_own_initial_weights(options: Options, corpus: Any, tmp_path: Path) -> None:
    folder = corpus.inputs.single("model").folder("model")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    first = first_model("gpt", config["options"], vocabulary=config["vocabulary"], context=32, seed=17)
    save(first, tmp_path / "model")
    model = corpus.inputs.single("model")
    seeded = replace(model, manifest=replace(model.manifest, params={"seed": 17}))
    start = training_start_of(Inputs.of({**corpus.inputs.by_kind, "model": seeded}))
    subject = Subject(tmp_path / "model", HeldOut.of(corpus.inputs), torch.device("cpu"), start)
    scores, _ = evaluate(options, subject)
    by_name = {score.metric: score for score in scores}
    for metric in ("t.jsonl: same_topic_auc", "p.jsonl: mean_reciprocal_rank"):
        assert by_name[f"{metric} before"].value == by_name[metric].value
        assert by_name[f"{metric} gain"].value == 0 and by_name[f"{metric} gain"].interval == (0, 0)
    trained = replace(subject, folder=folder)
    after, _ = evaluate(options, trained)
    gains = [score.value for score in after if score.metric.endswith(" gain")]
    assert len(gains) == 5 and any(gains)


def test_a_training_start_that_is_not_recorded_is_not_guessed(corpus: Any) -> None:
    model = corpus.inputs.single("model")
    assert training_start_of(corpus.inputs) is None, "its manifest records no seed"
    begun = replace(model, manifest=replace(model.manifest, params={"seed": 1}, inputs={"init": "0" * 64}))
    alone = Inputs.of({**corpus.inputs.by_kind, "model": begun})
    assert training_start_of(alone) is None, "the other run's artifact is not at hand"
    start = training_start_of(Inputs.of({**corpus.inputs.by_kind, "model": begun, "init": model}))
    assert start is not None and start["externals"] == {"init": model.uri}


def test_a_model_that_started_from_another_is_compared_with_that(options: Options, corpus: Any) -> None:
    model = corpus.inputs.single("model")
    begun = replace(model, manifest=replace(model.manifest, params={"seed": 1}, inputs={"init": "0" * 64}))
    start = training_start_of(Inputs.of({**corpus.inputs.by_kind, "model": begun, "init": model}))
    subject = Subject(model.folder("model"), HeldOut.of(corpus.inputs), torch.device("cpu"), start)
    scores, _ = evaluate(options, subject)
    assert all(score.value == 0 for score in scores if score.metric.endswith(" gain"))


@pytest.mark.parametrize("family", ["gpt", "bert", "lstm"])
def test_a_vector_depends_on_its_own_text_alone(family: str, tokenizer: Path) -> None:
    torch.manual_seed(1)
    options = {"layers": 2, "width": 16, **({} if family == "lstm" else {"heads": 2})}
    model = build(family, options, vocabulary=420, context=24).eval()
    many = [*TEXTS, "the quiet river " * 30, "安静的河流" * 20]
    together = sentence_vectors.sentence_vectors(model, tokenizer, many)
    for at, text in enumerate(many):
        alone = sentence_vectors.sentence_vectors(model, tokenizer, [text])
        torch.testing.assert_close(together[at : at + 1], alone, rtol=1e-4, atol=1e-5)


def test_a_long_text_is_the_mean_of_its_windows(subject: Subject, tokenizer: Path) -> None:
    from pipeline.tokenizers.reference_encoder import load

    ids = load(tokenizer).encode_text(long := "安静的河流带着一封信经过古老的车站。" * 3)
    context = subject.model.context
    assert context < len(ids) <= 16 * context
    with torch.inference_mode():
        parts = [ids[first : first + context] for first in range(0, len(ids), context)]
        states = torch.cat([subject.model.hidden(torch.tensor([part]))[0] for part in parts])
    vector = sentence_vectors.sentence_vectors(subject.model, tokenizer, [long])[0]
    torch.testing.assert_close(vector, states.mean(0), rtol=1e-4, atol=1e-5)
    assert math.isfinite(float(vector.norm()))


def test_the_script_tells_the_language_and_no_more() -> None:
    assert sentence_vectors.language_of(["安静的河流"]) == "zh"
    assert sentence_vectors.language_of(["the quiet river"]) == "und-Latn"
    assert sentence_vectors.language_of(["17", "!"]) is None
