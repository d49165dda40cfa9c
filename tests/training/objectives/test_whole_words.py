"""Words and spans: whole, within their number, and as often as the paper says."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.objectives import whole_words

flags = st.lists(st.booleans(), min_size=1, max_size=60).map(lambda found: np.array([False, *found[1:]]))
seeds = st.integers(0, 1 << 30)


def numbers(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).random(count)


def test_the_budget_is_the_share_rounded_and_at_least_one() -> None:
    assert [whole_words.budget(0.15, n) for n in (0, 1, 3, 9, 10, 100, 130)] == [0, 1, 1, 1, 2, 15, 20]


@settings(deadline=None)  # a busy machine is no mistake
@given(flags, seeds)
def test_only_complete_words_that_fit_are_selected(continues_word: np.ndarray, seed: int) -> None:
    words = np.cumsum(~continues_word)
    count = whole_words.budget(0.3, len(continues_word))
    positions = whole_words.words(count, continues_word, numbers(seed, len(continues_word)))
    selected_words = np.unique(words[positions])
    assert np.array_equal(np.flatnonzero(np.isin(words, selected_words)), positions)
    assert len(positions) <= count or len(selected_words) == 1
    left = [int((words == word).sum()) for word in np.unique(words) if word not in selected_words]
    assert len(positions) >= count or not [size for size in left if size <= count - len(positions)]


@settings(deadline=None)  # a busy machine is no mistake
@given(flags, seeds)
def test_spans_are_whole_neighbouring_words_and_do_not_overlap(continues_word: np.ndarray, seed: int) -> None:
    words, n = np.cumsum(~continues_word), len(continues_word)
    count = whole_words.budget(0.3, n)
    selected = whole_words.spans(count, continues_word, numbers(seed, n), numbers(seed + 1, n))
    places = np.concatenate(selected)
    assert len(np.unique(places)) == len(places)
    assert len(places) <= count or len(np.unique(words[places])) == 1
    for span in selected:
        assert (np.diff(span) == 1).all() and len(np.unique(words[span])) <= whole_words.MAX_SPAN_WORDS
        assert np.isin(np.flatnonzero(np.isin(words, words[span])), span).all()


def test_span_lengths_have_the_mean_of_the_paper() -> None:
    lengths = whole_words.geometric(numbers(1, 200_000))
    assert lengths.min() == 1 and lengths.max() == 10
    assert abs(lengths.mean() - 3.8) < 0.02
    assert abs((lengths == 1).mean() - 0.2 / (1 - 0.8**10)) < 0.005


def test_tokens_are_those_with_the_smallest_numbers() -> None:
    assert whole_words.tokens(2, np.array([0.4, 0.1, 0.9, 0.2])).tolist() == [1, 3]
