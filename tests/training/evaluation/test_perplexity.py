"""Loss and bits per byte, against a computation by hand."""

from __future__ import annotations

import lzma
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from pipeline.core.errors import StageFailed
from training.evaluation import perplexity
from training.evaluation.base import Score, Subject
from training.evaluation.held_out import HeldOut
from training.evaluation.perplexity import Perplexity
from training.evaluation.ratio import interval, ratio
from training.evaluation.section import Perplexity as Options
from training.models.saved import load


def scores_of(corpus: Any) -> dict[tuple[str, str | None], Score]:
    held_out, task = HeldOut.of(corpus.inputs), Perplexity(Options(), 0)
    subject = Subject(corpus.inputs.single("model").folder("model"), held_out, torch.device("cpu"))
    result = task.merge(held_out, [task.work(item, subject) for item in task.cut(held_out)])
    return {(score.metric, score.language): score for score in result.scores}


def test_loss_and_bits_per_byte_are_those_of_a_computation_by_hand(corpus: Any) -> None:
    held_out, model = HeldOut.of(corpus.inputs), load(corpus.inputs.single("model").folder("model"))
    nats = targets = 0.0
    unpredicted = 0
    for row in held_out.rows():
        with torch.inference_mode():
            chances = torch.softmax(model.logits(torch.from_numpy(row.tokens)[None])[0].double(), -1)
        nats -= sum(math.log(chances[at, token]) for at, token in enumerate(row.tokens[1:].tolist()))
        targets += len(row.tokens) - 1
        unpredicted += len(held_out.token_bytes.by_id[row.tokens[0]]) if row.tokens[0] else 0
    size = sum(len(text.encode()) for text, _ in corpus.held_out) - unpredicted
    scores = scores_of(corpus)
    assert scores["loss", None].value == pytest.approx(nats / targets, rel=1e-6)
    assert scores["perplexity", None].value == pytest.approx(math.exp(nats / targets), rel=1e-5)
    assert scores["bits_per_byte", None].value == pytest.approx(nats / math.log(2) / size, rel=1e-6)


def test_xz_is_one_stream_over_the_documents_joined_by_newlines(corpus: Any) -> None:
    def bits(texts: list[str]) -> float:
        joined = "\n".join(texts).encode()
        return 8 * len(lzma.compress(joined, preset=9)) / len(joined)

    scores = scores_of(corpus)
    assert scores["xz_bits_per_byte", None].value == bits([text for text, _ in corpus.held_out])
    chinese = [text for text, language in corpus.held_out if language == "zh"]
    assert scores["xz_bits_per_byte", "zh"].value == bits(chinese)


def test_languages_have_figures_of_their_own_that_add_up(corpus: Any) -> None:
    scores = scores_of(corpus)
    assert {language for _, language in scores} == {None, "en", "zh", "unknown"}
    overall = scores["loss", None]
    assert sum(scores["loss", language].items for language in ("en", "zh", "unknown")) == overall.items
    assert min(scores["loss", language].value for language in ("en", "zh", "unknown")) <= overall.value
    assert overall.interval is not None and overall.interval[0] < overall.value < overall.interval[1]
    assert scores["loss", "unknown"].interval is None  # of one document nothing is known


def test_cutting_the_work_otherwise_changes_no_figure(corpus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = scores_of(corpus)
    monkeypatch.setattr(perplexity, "ITEM_TOKENS", 64)
    monkeypatch.setattr(perplexity, "BATCH_TOKENS", 64)
    held_out = HeldOut.of(corpus.inputs)
    items = Perplexity(Options(), 0).cut(held_out)
    assert len(items) > 3
    assert [item["start"] for item in items[2:]] == [item["stop"] for item in items[1:-1]]
    assert items[-1]["stop"] == held_out.row_count
    for key, score in scores_of(corpus).items():
        assert score.value == pytest.approx(expected[key].value, rel=1e-6)


def test_a_huge_split_is_cut_into_a_bounded_number_of_whole_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HeldOut, "row_count", 1_000_003)
    monkeypatch.setattr(HeldOut, "length", 1024)
    _, *items = Perplexity(Options(), 0).cut(HeldOut((), (), None))  # type: ignore[arg-type]
    assert len(items) <= perplexity.MAX_ITEMS
    assert all((item["stop"] - item["start"]) % item["batch"] == 0 for item in items[:-1])


def test_a_model_that_diverged_is_a_clear_failure(make_corpus: Callable[..., Any]) -> None:
    held_out = HeldOut.of(make_corpus(2).inputs)

    class Diverged(torch.nn.Linear):
        document_mask = False

        def logits(self, tokens: torch.Tensor) -> torch.Tensor:
            return torch.full((*tokens.shape, 420), float("nan"))

    with pytest.raises(StageFailed, match="diverged"):
        perplexity.token_losses(Diverged(1, 1), list(held_out.rows(0, 2)))  # type: ignore[arg-type]


def test_the_interval_covers_the_truth_about_nineteen_times_in_twenty() -> None:
    draw = torch.Generator().manual_seed(3)
    hits = 0
    for _ in range(400):
        sizes = torch.randint(20, 200, (60,), generator=draw).double()
        losses = sizes * (4 + torch.randn(60, generator=draw).double() * 0.5)
        low, high = interval(losses.tolist(), sizes.tolist()) or (0.0, 0.0)
        assert low < ratio(losses.tolist(), sizes.tolist()) < high
        hits += low < 4 < high
    assert 0.92 <= hits / 400 <= 0.98
