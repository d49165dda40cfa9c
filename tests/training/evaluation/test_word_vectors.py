"""The words of a vocabulary: their order, how they are found, and what they are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.core.errors import StageFailed
from pipeline.tokenizers.bpe import BytePair
from training.evaluation import word_vectors
from training.evaluation.word_vectors import read_vocabulary, read_word_vectors, trained_vectors
from training.models.base import build

WORDS = ("the", "River", "河流", "等一等", "café")


def test_special_pieces_are_no_words(learn: Any) -> None:
    assert read_vocabulary(learn(WORDS).tokenizer).words == WORDS


def test_words_are_ordered_by_falling_count_and_the_unseen_are_left_out(learn: Any) -> None:
    trained = learn(WORDS, counts=(5, 0, 9, 5, 1))
    vectors, vocabulary, counts = trained_vectors(trained.subject().model, trained.tokenizer)
    assert vocabulary.words == ("河流", "the", "等一等", "café") and counts == (9, 5, 5, 1)
    assert np.array_equal(vectors.numpy(), trained.vectors[[2, 0, 3, 4]])


def test_words_that_nobody_counted_keep_the_order_of_the_vocabulary(learn: Any) -> None:
    trained = learn(WORDS, counts=(0,) * 5)
    _, vocabulary, counts = trained_vectors(trained.subject().model, trained.tokenizer)
    assert vocabulary.words == WORDS and counts is None


def test_a_word_is_folded_as_the_tokenizer_folds(learn: Any) -> None:
    cased, folded = (read_vocabulary(learn(("the", "river"), lowercase=low).tokenizer) for low in (False, True))
    assert cased.find("River") is None and cased.find("river") == 1
    assert folded.find("River") == 1 and folded.find("THE") == 0


def test_a_word_beyond_the_restriction_is_not_there(learn: Any) -> None:
    vocabulary = read_vocabulary(learn(WORDS).tokenizer)
    assert vocabulary.find("河流") == 2 and vocabulary.find("河流", first=2) is None
    assert vocabulary.find("<unk>") is None and vocabulary.find("没有") is None


def test_a_piece_of_byte_level_bpe_is_found_by_the_word_it_spells(tmp_path: Path) -> None:
    texts = ["the river and the river", "河流和河流的河流"] * 50
    (tmp_path / "tokenizer.json").write_text(BytePair().train(texts, 300), encoding="utf-8")
    vocabulary = read_vocabulary(tmp_path / "tokenizer.json")
    for word, text in (("river", " river"), ("河流", "河流")):
        place = vocabulary.find(word)
        assert place is not None and vocabulary.texts[place] == text
        assert " " not in vocabulary.words[place]
    assert vocabulary.find("<|endoftext|>") is None


def test_scores_come_by_blocks_of_bounded_size(learn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = read_word_vectors(learn(tuple("abcdefghij")).subject().model, learn(tuple("abcdefghij")).tokenizer)
    expected = next(vectors.scores(vectors.unit))[1]
    monkeypatch.setattr(word_vectors, "BLOCK", 30)
    parts = list(vectors.scores(vectors.unit))
    assert [at for at, _ in parts] == [0, 3, 6, 9] and parts[0][1].shape == (3, 10)
    assert torch.allclose(torch.cat([part for _, part in parts]), expected, atol=1e-6)
    assert next(vectors.scores(vectors.unit, first=4))[1].shape[1] == 4


def test_glove_is_evaluated_by_the_sum_of_both_vectors(learn: Any) -> None:
    trained = learn(WORDS, family="glove")
    model: Any = trained.subject().model
    vectors, _, _ = trained_vectors(model, trained.tokenizer)
    assert torch.equal(vectors, (model.input + model.output)[3:].detach())


def test_a_model_without_word_vectors_and_one_that_diverged_are_clear_failures(learn: Any) -> None:
    trained = learn(WORDS)
    gpt = build("gpt", {"layers": 1, "heads": 2, "width": 8}, vocabulary=8, context=8)
    with pytest.raises(StageFailed, match="gpt: keeps no vectors"):
        trained_vectors(gpt, trained.tokenizer)
    model: Any = trained.subject().model
    model.input.data[4] = float("nan")
    with pytest.raises(StageFailed, match="diverged"):
        read_word_vectors(model, trained.tokenizer)
