"""From tokens to windows, against plain Python: what is kept, what is around what, and which words are negatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from training.vectors.windows import (
    ALWAYS,
    BORDER,
    count_visits,
    draw_pool,
    forget,
    kept_words,
    windows_with_negatives,
)

UNKNOWN, END, WORDS = 0, 1, 60


def kept(tokens: Any, lengths: Any, keep: NDArray[np.int64], key: int = 7) -> tuple[list[int], NDArray[np.int32]]:
    tokens = np.asarray(tokens, np.int32)
    slots, members = np.full(WORDS, -1, np.int32), np.zeros(WORDS, np.int32)
    words = np.zeros(tokens.size + len(tokens), np.int32)
    count, distinct = kept_words(tokens, np.array(lengths, np.int32), keep, slots, np.uint64(key), words, members)
    assert [slots[token] for token in members[:distinct]] == list(range(distinct))
    return [int(members[word]) if word != BORDER else BORDER for word in words[:count]], members[:distinct]


def all_kept() -> NDArray[np.int64]:
    keep = np.full(WORDS, ALWAYS, np.int64)
    keep[UNKNOWN], keep[END] = 0, BORDER
    return keep


def windows(sentences: list[list[int]], *, size: int, least: int, negatives: int, pool: list[int]) -> list[Any]:
    """(word, words around, negatives) of every window, in tokens."""
    words = np.array([word for sentence in sentences for word in [*sentence, BORDER]], np.int32)
    most = len(words)
    arrays = [np.zeros(most * 2 * size, np.int32), np.zeros(most, np.int32), np.zeros(most * 12, np.int32)]
    labels, ends = np.zeros(most * 12, np.float32), np.zeros(most, np.int32)
    blank = WORDS
    count = windows_with_negatives(
        words, len(words), np.array(pool, np.int32), negatives, size, least, blank, blank, np.uint64(3), *arrays,
        labels, ends,
    )  # fmt: skip
    all_windows, context, target = [], 0, 0
    for window in range(count):
        around = arrays[0][context : arrays[1][window]].tolist()
        window_targets = slice(target, ends[window])
        assert len(around) % 2 == 0 and (window_targets.stop - window_targets.start) % 6 == 0
        labelled = list(zip(arrays[2][window_targets].tolist(), labels[window_targets].tolist(), strict=True))
        assert all((label == 0.5) == (negative == blank) for negative, label in labelled)
        others = [negative for negative, label in labelled if label == 0]
        all_windows.append((labelled[0][0], [word for word in around if word != blank], others))
        assert labelled[0][1] == 1
        context, target = arrays[1][window], window_targets.stop
    return all_windows


def test_unknown_words_are_taken_out_and_ends_become_borders() -> None:
    rows = [[5, UNKNOWN, 6, END, END, 7, 5, 9], [END, 8, 5, 0, 0, 0, 0, 0]]
    words, members = kept(rows, [8, 3], all_kept())
    assert words == [5, 6, BORDER, 7, 5, 9, BORDER, 8, 5, BORDER]
    assert members.tolist() == [5, 6, 7, 9, 8]


def test_frequent_words_are_left_out_as_often_as_asked() -> None:
    keep = all_kept()
    keep[5] = ALWAYS // 4
    tokens = np.tile(np.array([5, 6], np.int32), (200, 50))
    words, _ = kept(tokens, [100] * 200, keep)
    assert words.count(6) == 10_000 and words.count(5) == pytest.approx(2500, rel=0.05)
    assert words == kept(tokens, [100] * 200, keep)[0]
    assert words != kept(tokens, [100] * 200, keep, key=8)[0]


def test_a_window_holds_the_words_around_and_never_crosses_a_border() -> None:
    sentences = [[2, 3, 4, 5], [6], [7, 8, 2]]
    all_windows = windows(sentences, size=2, least=2, negatives=1, pool=[9] * 8)
    expected = [
        (word, sentence[max(0, here - 2) : here] + sentence[here + 1 : here + 3], [9])
        for sentence in sentences
        if len(sentence) > 1
        for here, word in enumerate(sentence)
    ]
    assert all_windows == expected


def test_a_drawn_window_is_of_every_size_alike() -> None:
    sentence = list(range(2, 50)) * 200
    all_windows = windows([sentence], size=3, least=1, negatives=1, pool=[1] * 8)
    sizes = np.bincount([len(around) // 2 for _, around, _ in all_windows[3:-3]])
    assert sizes[0] == 0 and sizes[1:] == pytest.approx(len(all_windows) / 3, rel=0.1)


@pytest.mark.parametrize("negatives", [1, 5, 7, 11])
def test_negatives_come_from_the_pool_and_are_never_the_word(negatives: int) -> None:
    all_windows = windows([[2, 3, 4, 5] * 50], size=2, least=2, negatives=negatives, pool=[2, 3, 10, 11])
    for word, _, others in all_windows:
        assert word not in others and set(others) <= {2, 3, 10, 11} and len(others) <= negatives
    draws = [negative for word, _, others in all_windows if word > 3 for negative in others]
    # none is the word itself, so none is left out
    assert len(draws) == 100 * negatives and min(np.bincount(draws)[[2, 3, 10, 11]]) > 100 * negatives / 8


def test_a_pool_holds_every_word_as_often_as_its_chance() -> None:
    chance = np.arange(1, WORDS + 1) ** -1.0
    cumulative = np.cumsum(chance / chance.sum())
    cumulative[-1] = 1.0
    guide = np.searchsorted(cumulative, np.arange(WORDS) / WORDS, side="right").astype(np.int32)
    slots, members, pool = np.full(WORDS, -1, np.int32), np.zeros(WORDS, np.int32), np.zeros(1024, np.int32)
    total = np.zeros(WORDS)
    for key in range(20):
        # two words have slots already
        slots[[4, 2]], members[:2] = [0, 1], [4, 2]
        distinct = draw_pool(cumulative, guide, np.uint64(key), slots, members, 2, pool)
        assert pool.max() < distinct and sorted(members[:distinct].tolist()) == sorted(set(members[:distinct].tolist()))
        total += np.bincount(members[pool], minlength=WORDS)
        forget(slots, members, distinct)
        assert (slots == -1).all()
    # one draw from each of 1,024 equal parts: within one of the expected number in each pool
    assert total / 20 == pytest.approx(1024 * chance / chance.sum(), abs=1)


def test_visits_are_the_products_that_a_row_takes_part_in() -> None:
    contexts, context_ends = np.array([0, 1, 2, 5, 1, 0], np.int32), np.array([4, 6], np.int32)
    targets, target_ends = np.array([0, 1, 2, 3, 4, 4, 1, 0, 6, 6, 6, 6], np.int32), np.array([6, 12], np.int32)
    inputs, outputs = np.full(5, 9, np.int32), np.full(6, 9, np.int32)
    count_visits(contexts, context_ends, targets, target_ends, 2, inputs, 5, outputs, 6)
    assert inputs.tolist() == [12, 12, 6, 0, 0]
    assert outputs.tolist() == [6, 6, 4, 4, 8, 0]
