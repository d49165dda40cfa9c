"""Sentences of a document are shuffled: the same tokens, whole sentences, in English and in Chinese."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.text.words import sentences
from pipeline.tokenizers.base import TokenizerOptions
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.reference_encoder import load
from pipeline.tokenizers.word_level import WordLevel
from pipeline.tokenizers.wordpiece import WordPiece
from training.augment.base import Augmentation, documents
from training.keyed_rng import keys

Build = Callable[..., Augmentation]
ENGLISH = "The ore is washed. It is roasted, 3.5 hours! Then it meets the charcoal."
CHINESE = "矿石要先洗净。然后焙烧！打碎之后，它和木炭相遇。谁把它打碎的？"
MIXED = "水 water。They mix. 中文和 English 混排。"
TOKENIZERS = {"bpe": BytePair(), "wordpiece": WordPiece()}
CASES = [("bpe", ENGLISH), ("bpe", CHINESE), ("bpe", MIXED)]
# wordpiece does not keep white space: 3.5 and 3. 5 are the same to it
CASES += [("wordpiece", ENGLISH.replace("3.5", "35")), ("wordpiece", CHINESE)]


@pytest.mark.parametrize(("tokenizer", "text"), CASES)
def test_whole_sentences_are_shuffled(build: Build, tmp_path: Path, tokenizer: str, text: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(TOKENIZERS[tokenizer].train([ENGLISH, CHINESE, text] * 3, 330), encoding="utf-8")
    augmentation = build("sentence_shuffling", path=path, share=0.999)
    reference = load(path)
    row = np.array([[*reference.encode_text(text), reference.end_of_text]] * 40, np.int64)
    shuffled_rows, lengths = augmentation.rows(row, np.full(40, row.shape[1]), keys(1, 2, np.arange(40)))
    assert (shuffled_rows[:, -1] == reference.end_of_text).all()
    texts = {reference.decode(tokens[:-1].tolist()) for tokens in shuffled_rows}
    # the white space between two sentences goes with the second, so the words are compared without
    expected = ["".join(sentence.split()) for sentence in sentences(text)]
    orders = {"".join(order) for order in itertools.permutations(expected)}
    assert len(texts) > 2 and {"".join(shuffled.split()) for shuffled in texts} <= orders


def test_every_document_keeps_its_tokens_in_its_place(build: Build, rows: Any) -> None:
    augmentation = build("sentence_shuffling", share=0.999)
    tokens, lengths = augmentation.rows(*rows, keys(5, 1, np.arange(6)))
    assert np.array_equal(lengths, rows[1])
    moved = 0
    for before, after, length in zip(rows[0], tokens, lengths, strict=True):
        parts = documents(before[:length], augmentation.end_of_text)
        assert parts == documents(after[:length], augmentation.end_of_text)
        for start, stop in parts:
            assert sorted(before[start:stop]) == sorted(after[start:stop])
            moved += not np.array_equal(before[start:stop], after[start:stop])
        assert np.array_equal(before[length:], after[length:])
    assert moved > 4


def test_a_word_tokenizer_ends_sentences_at_its_own_token(build: Build, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(WordLevel(TokenizerOptions(min_count=1)).train([ENGLISH, CHINESE], 100), encoding="utf-8")
    augmentation = build("sentence_shuffling", path=path, share=0.999)
    reference = load(path)
    end = reference.sentence
    assert end is not None
    for text, count in ((ENGLISH, 3), (CHINESE, 4)):
        row = np.array([reference.encode_text(text)] * 20, np.int64)
        tokens, _ = augmentation.rows(row, np.full(20, row.shape[1]), keys(1, 2, np.arange(20)))
        parts = {
            tuple(sorted(tuple(p) for p in np.split(r, np.flatnonzero(r == end) + 1) if len(p)))
            for r in [row[0], *tokens]
        }
        assert len(parts) == 1 and len(next(iter(parts))) == count and len(np.unique(tokens, axis=0)) > 3
