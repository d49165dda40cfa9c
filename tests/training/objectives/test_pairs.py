"""Pairs of texts: from one document, parted where a sentence begins, in order or not half of the time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.core.errors import UserError
from pipeline.tokenizers.reference_encoder import ReferenceEncoder
from training.keyed_rng import keys
from training.models.base import build
from training.models.layers import IGNORE
from training.objectives import special_tokens
from training.objectives.masked import Masked
from training.objectives.section import Masked as Options

Rows = NDArray[np.int64]
STEPS = 40


def create_objective(tokenizer: Path, pairs: str) -> Masked:
    return Masked(Options.model_validate({"unit": "token", "pairs": pairs}), tokenizer)


def read_pairs(tokenizer: Path, pairs: str, rows: Rows, step: int) -> list[tuple[int, list[int], list[int]]]:
    """For each row its label and the two texts, with nothing hidden."""
    lengths = (rows >= 0).sum(1)
    batch, _ = create_objective(tokenizer, pairs).batch(
        np.maximum(rows, 0), lengths, keys(3, step, np.arange(len(rows)))
    )
    tokens, targets = batch["tokens"].numpy(), batch["targets"].numpy()
    restored = np.where(targets == IGNORE, tokens, targets)
    pairs_of_batch: list[tuple[int, list[int], list[int]]] = []
    own = special_tokens.read(tokenizer)
    sizes = batch["lengths"].tolist() if "lengths" in batch else [restored.shape[1]] * len(rows)
    for row, segments, label, size in zip(
        restored, batch["segments"].numpy(), batch["pairs"].tolist(), sizes, strict=True
    ):
        assert (segments[size:] == 0).all() and (row[0], row[size - 1]) == (own.start, own.end)
        if label == IGNORE:
            pairs_of_batch.append((label, row[1 : size - 1].tolist(), []))
            continue
        middle = int(np.flatnonzero(row[:size] == own.end)[0])
        assert segments[:size].tolist() == [0] * (middle + 1) + [1] * (size - middle - 1)
        pairs_of_batch.append((label, row[1:middle].tolist(), row[middle + 1 : size - 1].tolist()))
    return pairs_of_batch


@pytest.fixture
def documents(reference: ReferenceEncoder) -> Rows:
    """A document a row, in both languages, of three sentences; -1 behind its end."""
    texts = (
        "It rained. Nobody came! Why?",
        "A letter. The river, then. Home.",
        "下雨了。没有人来！为什么？",
        "一封信。河流。回家。",
    )
    encoded = [[*reference.encode_text(text), reference.end_of_text] for text in texts]
    rows = np.full((4, max(map(len, encoded))), -1, np.int64)
    for row, ids in zip(rows, encoded, strict=True):
        row[: len(ids)] = ids
    return rows


def test_a_sentence_order_is_right_or_turned_round(tokenizer: Path, documents: Rows) -> None:
    labels = []
    for step in range(STEPS):
        for row, (label, first, second) in zip(
            documents, read_pairs(tokenizer, "sentence_order", documents, step), strict=True
        ):
            text = row[row >= 0].tolist()[:-1]  # without the end of text
            assert (first + second if label == 0 else second + first) == text and first and second
            labels.append(label)
    assert 0.35 < np.mean(labels) < 0.65


def test_a_next_sentence_follows_or_is_of_the_other_row(tokenizer: Path, documents: Rows) -> None:
    labels = []
    for step in range(STEPS):
        for at, (label, first, second) in enumerate(read_pairs(tokenizer, "next_sentence", documents, step)):
            own, neighbour = (row[row >= 0].tolist()[:-1] for row in (documents[at], documents[at ^ 1]))
            assert own[: len(first)] == first
            if label == 0:
                assert first + second == own
            else:
                starts = [i for i in range(len(neighbour)) if neighbour[i : i + len(second)] == second]
                assert starts and len(second) <= len(own) - len(first)
            labels.append(label)
    assert 0.35 < np.mean(labels) < 0.65


def test_texts_are_parted_where_a_sentence_begins(
    tokenizer: Path, documents: Rows, reference: ReferenceEncoder
) -> None:
    firsts = {
        reference.decode(first)
        for step in range(STEPS)
        for label, first, _ in read_pairs(tokenizer, "next_sentence", documents, step)
    }
    assert {"It rained.", "It rained. Nobody came!", "下雨了。", "下雨了。没有人来！"} <= firsts
    assert all(text[-1] in ".!。！" for text in firsts)


def test_a_row_of_one_sentence_is_no_pair_but_is_still_read(tokenizer: Path, reference: ReferenceEncoder) -> None:
    ids = reference.encode_text("the quiet river carries a letter")
    ((label, first, second),) = read_pairs(tokenizer, "sentence_order", np.array([ids]), 0)
    assert label == IGNORE and first == ids and second == []


def test_a_row_without_a_partner_goes_on_with_its_own(tokenizer: Path, documents: Rows) -> None:
    for step in range(10):
        ((label, *_),) = read_pairs(tokenizer, "next_sentence", documents[:1], step)
        assert label == 0


def test_pairs_come_from_the_longest_document_of_a_row(tokenizer: Path, reference: ReferenceEncoder) -> None:
    short, long = (reference.encode_text(text) for text in ("One. Two.", "今天天气很好。我们去图书馆看书！真的？"))
    row = np.array([[*short, reference.end_of_text, *long, reference.end_of_text]])
    ((_, first, second),) = read_pairs(tokenizer, "sentence_order", row, 0)
    assert sorted(first + second) == sorted(long)


def test_a_corpus_without_two_sentences_is_refused(tokenizer: Path, reference: ReferenceEncoder) -> None:
    single = np.array(reference.encode_text("没有人来"))
    double = np.array(reference.encode_text("没有人来。为什么？"))
    objective = create_objective(tokenizer, "sentence_order")
    with pytest.raises(UserError, match="two sentences of one document"):
        objective.examine(iter([single, single]))
    objective.examine(iter([single, double]))
    create_objective(tokenizer, "none").examine(iter([single]))


def test_a_family_without_a_head_for_pairs_is_told(tokenizer: Path) -> None:
    model = build("gpt", {"layers": 1, "heads": 2, "width": 16}, vocabulary=500, context=67)
    with pytest.raises(UserError, match="needs the head of the family bert"):
        create_objective(tokenizer, "next_sentence").idle(model)
