"""Gaps are filled with the model's likeliest pieces, and correct predictions of held-out words are counted."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pipeline.text import words
from pipeline.tokenizers.reference_encoder import load as load_tokenizer
from training.evaluation import gaps
from training.evaluation.base import Subject, TaskResult
from training.evaluation.fill import FILE, Fill
from training.evaluation.held_out import HeldOut
from training.evaluation.section import Fill as Options
from training.keyed_rng import keys
from training.models.base import build
from training.models.saved import load, save
from training.objectives import special_tokens
from training.objectives.masked import Masked
from training.objectives.section import Masked as MaskedOptions

PROMPTS = ["The quiet [MASK] carries a letter", "安静的[MASK][MASK]带着一封信，[MASK]"]


@pytest.fixture(scope="module")
def subject(masked_corpus: Any, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """An encoder that has learned the usual corpus a little, by its own objective."""
    folder, held_out = tmp_path_factory.mktemp("bert"), HeldOut.of(masked_corpus.inputs)
    save(learned(held_out, load_tokenizer(held_out.tokenizer).vocabulary), folder)
    return Subject(folder, held_out, torch.device("cpu"))


def learned(held_out: HeldOut, vocabulary: int) -> Any:
    torch.manual_seed(5)
    model = build("bert", {"layers": 1, "heads": 2, "width": 64, "dropout": 0.0}, vocabulary=vocabulary, context=34)
    objective = Masked(MaskedOptions.model_validate({}), held_out.tokenizer)
    rows = [row.tokens for row in held_out.rows() if len(row.tokens) == 32]
    tokens = np.stack(rows[:40])
    full, places = np.full(len(tokens), 32), np.arange(len(tokens))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(60):
        batch, counts = objective.batch(tokens, full, keys(1, step, places))
        loss = objective.loss(model, batch) / counts.sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model


def filled(subject: Subject, **options: Any) -> TaskResult:
    task = Fill(Options.model_validate(options), 0)
    return task.merge(subject.held_out, [task.work(item, subject) for item in task.cut(subject.held_out)])


def test_a_trained_model_predicts_more_words_than_an_untrained_one(subject: Subject, tmp_path: Path) -> None:
    new = build("bert", {"layers": 1, "heads": 2, "width": 64}, vocabulary=subject.model.vocabulary, context=34)
    save(new, tmp_path)
    before, after = filled(dataclasses.replace(subject, folder=tmp_path)), filled(subject)
    for language in (None, "en", "zh"):
        old, new = (
            {score.metric: score for score in result.scores if score.language == language} for result in (before, after)
        )
        assert new["accuracy"].value > old["accuracy"].value
        assert new["accuracy"].value <= new["accuracy_top5"].value <= 1
        interval = new["accuracy"].interval
        assert interval is not None and interval[0] <= new["accuracy"].value <= interval[1]
    assert after.counts["words"] == next(score.items for score in after.scores if score.language is None)


def test_candidates_are_those_of_the_models_own_logits(subject: Subject) -> None:
    (english, chinese) = filled(subject, prompts=PROMPTS).files[FILE][:2]
    assert english["text"] == PROMPTS[0] and len(english["candidates"]) == 1
    own, reference = special_tokens.read(subject.held_out.tokenizer), load_tokenizer(subject.held_out.tokenizer)
    left, right = reference.encode_text("The quiet"), reference.encode_text(" carries a letter")
    tokens = torch.tensor([[own.start, *left, own.mask, *right, own.end]])
    with torch.inference_mode():
        logits = load(subject.folder).logits(tokens)[0, 1 + len(left)]
    logits = logits.clone()
    logits[own.special.tolist()] = -torch.inf
    top = torch.softmax(logits, -1).topk(5)
    expected = [reference.decode([int(token)]).strip() for token in top.indices]
    assert [candidate["text"] for candidate in english["candidates"][0]] == expected
    assert english["candidates"][0][0]["probability"] == pytest.approx(float(top.values[0]), abs=1e-4)
    # two masks beside each other are one gap of two pieces
    assert [len(gap) for gap in chinese["candidates"]] == [5, 5]


def test_masked_words_are_words_of_one_document_and_are_shown_with_a_gap(subject: Subject) -> None:
    held_out = subject.held_out
    texts = {document.id: document.text.decode() for document in held_out.documents()}
    selected = gaps.select_words(held_out, special_tokens.read(held_out.tokenizer), 20)
    assert {masked.language for masked in selected} == {"en", "zh", "unknown"}
    for masked in selected:
        row = next(held_out.rows(masked.row, masked.row + 1))
        text, word = gaps.text_with_gap(held_out, row, masked, 100)
        assert words.units(word) and word in texts[masked.document]
        assert text.count("[MASK]") == masked.stop - masked.start
        before, after = text.split("[MASK]" * (masked.stop - masked.start))
        assert before + word + after in texts[masked.document]


def test_the_file_shows_so_many_words_of_each_language(subject: Subject) -> None:
    rows = filled(subject, shown=3, words=10).files[FILE]
    languages = [row["language"] for row in rows]
    assert languages.count("en") == languages.count("zh") == 3
    assert all(row["answer"] and len(row["candidates"][0]) == 5 for row in rows)


def test_the_best_fillings_of_a_gap_are_the_likeliest_products() -> None:
    torch.manual_seed(0)
    probabilities = torch.softmax(torch.randn(3, 6).double(), -1)
    every = {
        (a, b, c): float(probabilities[0, a] * probabilities[1, b] * probabilities[2, c])
        for a in range(6) for b in range(6) for c in range(6)
    }  # fmt: skip
    expected = sorted(every.items(), key=lambda filling: -filling[1])[:4]
    fillings = gaps.likeliest_fillings(probabilities, 4)
    assert [ids for ids, _ in fillings] == [ids for ids, _ in expected]
    expected_probabilities = [probability for _, probability in expected]
    assert [probability for _, probability in fillings] == pytest.approx(expected_probabilities)


def test_a_prompt_without_a_gap_is_refused() -> None:
    with pytest.raises(ValidationError, match="has no gap to fill"):
        Options.model_validate({"prompts": ["the quiet river"]})


def test_figures_do_not_depend_on_how_the_work_is_cut(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = filled(subject, words=30, prompts=PROMPTS)
    monkeypatch.setattr("training.evaluation.fill.ITEM_WORDS", 7)
    assert filled(subject, words=30, prompts=PROMPTS) == expected
