"""Held-out figures of models that carry a state from row to row, and of those that read both ways, by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from training.evaluation import perplexity
from training.evaluation.base import Score, Subject
from training.evaluation.held_out import HeldOut
from training.evaluation.perplexity import Perplexity
from training.evaluation.section import Perplexity as Options
from training.models.saved import load


def scores_of(corpus: Any) -> dict[tuple[str, str | None], Score]:
    held_out, task = HeldOut.of(corpus.inputs), Perplexity(Options(), 0)
    subject = Subject(corpus.inputs.single("model").folder("model"), held_out, torch.device("cpu"))
    result = task.merge(held_out, [task.work(item, subject) for item in task.cut(held_out)])
    return {(score.metric, score.language): score for score in result.scores}


def nats(logits: torch.Tensor, targets: torch.Tensor) -> float:
    """Of all targets together, from logits of fp32 in fp64. T, V and T."""
    return float(torch.nn.functional.cross_entropy(logits.double(), targets, reduction="sum"))


@pytest.mark.parametrize("family", ["rnn", "lstm", "gru"])
def test_a_state_goes_on_from_row_to_row_of_an_item(
    family: str, make_corpus: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = make_corpus(8, family=family)
    held_out, model = HeldOut.of(corpus.inputs), load(corpus.inputs.single("model").folder("model"))
    rows = [torch.from_numpy(row.tokens) for row in held_out.rows()]

    def by_hand(rows: list[torch.Tensor]) -> float:
        with torch.inference_mode():
            logits, at, loss = model.logits(torch.cat(rows)[None])[0], 0, 0.0
        for row in rows:
            loss += nats(logits[at : at + len(row) - 1], row[1:])
            at += len(row)
        return loss

    targets, scores = sum(len(row) - 1 for row in rows), scores_of(corpus)
    assert scores["loss", None].value == pytest.approx(by_hand(rows) / targets, rel=1e-5)
    monkeypatch.setattr(perplexity, "ITEM_TOKENS", 64)
    monkeypatch.setattr(perplexity, "BATCH_TOKENS", 64)
    items = [rows[at : at + 2] for at in range(0, len(rows), 2)]
    expected = sum(map(by_hand, items)) / targets
    assert scores_of(corpus)["loss", None].value == pytest.approx(expected, rel=1e-5)
    assert len(items) > 2 and expected != pytest.approx(by_hand(rows) / targets, rel=1e-7)


def test_both_directions_have_figures_that_are_those_of_a_computation_by_hand(make_corpus: Callable[..., Any]) -> None:
    corpus = make_corpus(8, family="bilstm")
    held_out, model = HeldOut.of(corpus.inputs), load(corpus.inputs.single("model").folder("model"))
    forward = backward = 0.0
    targets = firsts = lasts = 0
    for row in held_out.rows():
        tokens = torch.from_numpy(row.tokens)
        with torch.inference_mode():
            onward, back = model.directions(tokens[None])
        forward += nats(onward[0, :-1], tokens[1:])
        backward += nats(back[0, 1:], tokens[:-1])
        targets += len(tokens) - 1
        spelled = [
            len(held_out.token_bytes.by_id[at]) if at != held_out.token_bytes.end_of_text else 0 for at in tokens
        ]
        firsts, lasts = firsts + spelled[0], lasts + spelled[-1]
    size, scores = sum(len(text.encode()) for text, _ in corpus.held_out), scores_of(corpus)
    for prefix, loss, unpredicted in (("forward_", forward, firsts), ("backward_", backward, lasts)):
        assert scores[f"{prefix}loss", None].value == pytest.approx(loss / targets, rel=1e-5)
        assert scores[f"{prefix}perplexity", None].value == pytest.approx(math.exp(loss / targets), rel=1e-4)
        bits = loss / math.log(2) / (size - unpredicted)
        assert scores[f"{prefix}bits_per_byte", None].value == pytest.approx(bits, rel=1e-5)
    assert {language for _, language in scores} == {None, "en", "zh", "unknown"}
    assert ("loss", None) not in scores and ("xz_bits_per_byte", "zh") in scores


def test_cutting_the_work_otherwise_changes_no_figure_of_a_model_that_reads_both_ways(
    make_corpus: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = make_corpus(8, family="bilstm")
    expected = scores_of(corpus)
    monkeypatch.setattr(perplexity, "ITEM_TOKENS", 64)
    monkeypatch.setattr(perplexity, "BATCH_TOKENS", 64)
    for key, score in scores_of(corpus).items():
        assert score.value == pytest.approx(expected[key].value, rel=1e-6)
