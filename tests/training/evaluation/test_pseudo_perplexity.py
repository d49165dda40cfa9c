"""Pseudo-perplexity against a computation by hand, one masked token at a time."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from pipeline.core.errors import StageFailed
from training.evaluation import perplexity, pseudo_perplexity
from training.evaluation.base import Score, Subject
from training.evaluation.held_out import HeldOut
from training.evaluation.perplexity import Perplexity
from training.evaluation.section import Perplexity as Options
from training.models.saved import load, save
from training.objectives import special_tokens


@pytest.fixture(scope="module")
def subject(masked_corpus: Any) -> Subject:
    inputs = masked_corpus.inputs
    return Subject(inputs.single("model").folder("model"), HeldOut.of(inputs), torch.device("cpu"))


def stored_texts(held_out: HeldOut) -> dict[str, str]:
    tables = [pq.read_table(path, columns=["id", "text"]) for path in held_out.document_files]
    return {row["id"]: row["text"] for table in tables for row in table.to_pylist()}


def scores_of(subject: Subject) -> dict[tuple[str, str | None], Score]:
    task = Perplexity(Options(), 0)
    results = [task.work(item, subject) for item in task.cut(subject.held_out)]
    return {(score.metric, score.language): score for score in task.merge(subject.held_out, results).scores}


def by_hand(subject: Subject, every: int) -> tuple[float, int, float]:
    """Nats, tokens and bytes of every so many tokens, end of text left out; bytes are the documents' own."""
    model, special = load(subject.folder), special_tokens.read(subject.held_out.tokenizer)
    nats = size = 0.0
    count, at = 0, -1
    spelled = [len(piece) for piece in subject.held_out.token_bytes.by_id]
    sizes = {name: len(text.encode()) for name, text in stored_texts(subject.held_out).items()}
    parts = {
        document.id: sizes[document.id] / max(1, document.spelled_bytes) for document in subject.held_out.documents()
    }
    for row in subject.held_out.rows():
        for place, token in enumerate(row.tokens.tolist()):
            at += 1
            if at % every or token in special.special:
                continue
            tokens = [special.start, *row.tokens.tolist(), special.end]
            tokens[place + 1] = special.mask
            with torch.inference_mode():
                chances = torch.log_softmax(model.logits(torch.tensor([tokens]))[0, place + 1].double(), -1)
            nats -= float(chances[token])
            document = next(name for name, start, end in row.spans if start <= place < end)
            count, size = count + 1, size + spelled[token] * parts[document]
    return nats, count, size


@pytest.mark.parametrize("read", [1 << 30, 4000])
def test_it_is_the_loss_of_tokens_masked_one_at_a_time(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, read: int
) -> None:
    monkeypatch.setattr(pseudo_perplexity, "MAX_READ_TOKENS", read)
    every = pseudo_perplexity.sample_step(subject.held_out)
    assert (every == 1) == (read == 1 << 30)
    nats, count, size = by_hand(subject, every)
    scores = scores_of(subject)
    assert scores["pseudo_loss", None].value == pytest.approx(nats / count, rel=1e-5)
    assert scores["pseudo_perplexity", None].value == pytest.approx(math.exp(nats / count), rel=1e-4)
    assert scores["pseudo_bits_per_byte", None].value == pytest.approx(nats / math.log(2) / size, rel=1e-5)
    assert ("loss", None) not in scores and scores["xz_bits_per_byte", None].value > 0


def test_languages_have_figures_with_intervals(subject: Subject) -> None:
    scores = scores_of(subject)
    for language in ("en", "zh"):
        score = scores["pseudo_loss", language]
        assert score.interval is not None and score.interval[0] < score.value < score.interval[1]
    parts = [scores["pseudo_loss", language].items for language in ("en", "zh", "unknown")]
    assert sum(parts) == scores["pseudo_loss", None].items


def test_figures_do_not_depend_on_how_the_work_is_cut(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = scores_of(subject)
    monkeypatch.setattr(perplexity, "ITEM_TOKENS", 64)
    monkeypatch.setattr(perplexity, "BATCH_TOKENS", 64)
    assert scores_of(subject) == expected


def test_sampled_tokens_come_from_every_place_of_a_row(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    for read in (1000, 5000, 20_000, 1 << 20):
        monkeypatch.setattr(pseudo_perplexity, "MAX_READ_TOKENS", read)
        assert math.gcd(pseudo_perplexity.sample_step(subject.held_out), subject.held_out.length) == 1


def test_weights_that_diverged_are_an_error(subject: Subject, tmp_path: Path) -> None:
    model = load(subject.folder)
    torch.nn.init.constant_(model.get_parameter("bias"), float("nan"))
    save(model, tmp_path)
    with pytest.raises(StageFailed, match="not a finite number"):
        scores_of(dataclasses.replace(subject, folder=tmp_path))


def test_it_is_for_masked_models_alone(corpus: Any, subject: Subject) -> None:
    assert pseudo_perplexity.is_masked_model(subject.model)
    assert not pseudo_perplexity.is_masked_model(load(corpus.inputs.single("model").folder("model")))
