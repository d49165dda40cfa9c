"""What the loops know of each token: how often it occurs, stays, and is drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import StageFailed
from training.trainer.packed_rows import PackedRows
from training.vectors.windows import ALWAYS, BORDER
from training.vectors.word_counts import WordCounts, check_neighbours, count_words


def tokenizer(folder: Path) -> Path:
    special = {"<|endoftext|>": 0, "<unk>": 1, "</s>": 2}
    pieces = {**special, "word": 3, "词": 4, "字": 5}
    added = [{"id": number, "content": name, "special": True} for name, number in special.items()]
    path = folder / "tokenizer.json"
    path.write_text(json.dumps({"model": {"vocab": pieces, "unk_token": "<unk>"}, "added_tokens": added}))
    return path


def rows(tokens: list[list[int]], lengths: list[int]) -> PackedRows:
    return PackedRows(np.array(tokens, np.uint16), np.array(lengths, np.int32))


def test_words_are_counted_over_the_training_rows(tmp_path: Path) -> None:
    words = count_words(rows([[3, 4, 2, 3, 1], [4, 4, 0, 5, 5]], [5, 3]), tokenizer(tmp_path), 6)
    assert words.counts.tolist() == [0, 0, 0, 2, 3, 0] and sorted(words.ends) == [0, 2]
    keep = words.keep(0)
    # 5 is a word of held-out rows alone: nothing is known of it
    assert keep.tolist() == [BORDER, 0, BORDER, ALWAYS, ALWAYS, 0]


def test_a_corpus_without_any_word_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match=r"10 training tokens none is left as a word.*min_count"):
        count_words(rows([[1, 1, 2, 1, 1], [1, 0, 0, 1, 1]], [5, 5]), tokenizer(tmp_path), 6)


@pytest.mark.parametrize("tokens", [[[3, 2, 4, 0, 5], [4, 2, 1, 1, 3]], [[3, 1, 2, 1, 4], [2, 5, 0, 4, 4]]])
def test_words_without_a_neighbour_in_their_sentence_are_said_in_one_sentence(
    tmp_path: Path, tokens: list[list[int]]
) -> None:
    lonely = rows(tokens, [5, 4])  # the second row ends before its last word
    words = count_words(lonely, tokenizer(tmp_path), 6)
    with pytest.raises(StageFailed, match="no word has a neighbour in its sentence, .*Add text"):
        check_neighbours(lonely, words)


@pytest.mark.parametrize("tokens", [[3, 1, 1, 4, 2], [2, 0, 3, 3, 1]])
def test_two_words_of_one_sentence_are_enough_whatever_unknown_stands_between(
    tmp_path: Path, tokens: list[int]
) -> None:
    split = rows([[3, 2, 4, 2, 5], tokens], [5, 5])
    check_neighbours(split, count_words(split, tokenizer(tmp_path), 6))


def test_frequent_words_stay_as_in_word2vec() -> None:
    counts = np.array([0, 900, 90, 9, 1], np.int64)
    keep = WordCounts(counts, (0,)).keep(1e-2) / ALWAYS
    frequency = 0.9
    assert keep[1] == pytest.approx((np.sqrt(frequency / 1e-2) + 1) * 1e-2 / frequency)
    assert (np.diff(keep[1:]) >= 0).all() and keep[-1] == 1


def test_negatives_are_drawn_by_a_power_of_their_counts() -> None:
    counts = np.array([0, 16, 0, 81, 1], np.int64)
    cumulative, guide = WordCounts(counts, (0,)).negatives(0.75)
    assert np.diff(cumulative, prepend=0) == pytest.approx(np.array([0, 8, 0, 27, 1]) / 36)
    for index, first in enumerate(guide):
        assert cumulative[first] > index / len(guide)
        assert first == 0 or cumulative[first - 1] <= index / len(guide)
    assert (np.diff(WordCounts(counts, ()).negatives(0)[0], prepend=0) > 0).tolist() == (counts > 0).tolist()
