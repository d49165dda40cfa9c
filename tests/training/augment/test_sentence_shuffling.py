"""Sentences of a document change places: the same tokens, whole sentences, in English and in Chinese."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.text.words import sentences
from pipeline.tokenizers.subword import Reference
from training.augment.base import Augmentation, documents
from training.chance import keys

Build = Callable[..., Augmentation]
ENGLISH = "The ore is washed. It is roasted, 3.5 hours! Then it meets the charcoal."
CHINESE = "矿石要先洗净。然后焙烧！打碎之后，它和木炭相遇。谁把它打碎的？"


@pytest.mark.parametrize("text", [ENGLISH, CHINESE, "水 water。They mix. 中文和 English 混排。"])
def test_whole_sentences_change_places(build: Build, reference: Reference, text: str) -> None:
    one = build("sentence_shuffling", share=0.999)
    row = np.array([[*reference.encode_text(text), reference.end_of_text]] * 40, np.int64)
    found, lengths = one.rows(row, np.full(40, row.shape[1]), keys(1, 2, np.arange(40)))
    assert (found[:, -1] == reference.end_of_text).all()
    texts = {reference.decode(tokens[:-1].tolist()) for tokens in found}
    # the white space between two sentences goes with the second, so the words are compared without
    wanted = ["".join(sentence.split()) for sentence in sentences(text)]
    orders = {"".join(order) for order in itertools.permutations(wanted)}
    assert len(texts) > 2 and {"".join(shuffled.split()) for shuffled in texts} <= orders


def test_every_document_keeps_its_tokens_in_its_place(build: Build, rows: Any) -> None:
    one = build("sentence_shuffling", share=0.999)
    tokens, lengths = one.rows(*rows, keys(5, 1, np.arange(6)))
    assert np.array_equal(lengths, rows[1])
    moved = 0
    for before, after, length in zip(rows[0], tokens, lengths, strict=True):
        parts = documents(before[:length], one.end_of_text)
        assert parts == documents(after[:length], one.end_of_text)
        for start, stop in parts:
            assert sorted(before[start:stop]) == sorted(after[start:stop])
            moved += not np.array_equal(before[start:stop], after[start:stop])
        assert np.array_equal(before[length:], after[length:])
    assert moved > 4


def test_words_are_parted_where_their_tokenizer_says(build: Build, tokenizer: Path, tmp_path: Path) -> None:
    found = json.loads(tokenizer.read_text(encoding="utf-8"))
    found["added_tokens"].append({**found["added_tokens"][0], "id": 999, "content": "</s>"})
    (tmp_path / "tokenizer.json").write_text(json.dumps(found), encoding="utf-8")
    one = build("sentence_shuffling", path=tmp_path / "tokenizer.json", share=0.999)
    row = np.array([[5, 6, 999, 7, 999, 8, 9, 9, 999]] * 20, np.int64)
    tokens, _ = one.rows(row, np.full(20, 9), keys(1, 2, np.arange(20)))
    parts = {tuple(sorted(tuple(part) for part in np.split(r, np.flatnonzero(r == 999) + 1)[:-1])) for r in tokens}
    assert parts == {((5, 6, 999), (7, 999), (8, 9, 9, 999))} and len(np.unique(tokens, axis=0)) > 3
