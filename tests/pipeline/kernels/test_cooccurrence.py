"""The co-occurrence kernel is compared with a plain Python window, and sorting and merging with numpy."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kernels.cooccurrence import BORDER, COUNTED, EMPTY, LEFT_OUT, MAX_LOAD, USED, count, drain, merge, sort

NUMBERS = np.array([BORDER, LEFT_OUT, BORDER, 0, 1, 2, 3, 4], np.int32)
BITS = 3
TOKENS = st.lists(st.integers(0, len(NUMBERS) - 1), max_size=60)


def reference(tokens: list[int], weights: list[int], *, symmetric: bool) -> dict[tuple[int, int], int]:
    """Pennington et al. 2014: every pair within the window, by its distance in words."""
    pairs: Counter[tuple[int, int]] = Counter()
    sentence: list[int] = []
    for token in [*tokens, 0]:
        number = int(NUMBERS[token])
        if number >= 0:
            sentence.append(number)
        elif number == BORDER:
            for at, word in enumerate(sentence):
                for distance, context in enumerate(sentence[max(0, at - len(weights) + 1) : at][::-1], 1):
                    pairs[word, context] += weights[distance]
                    if symmetric:
                        pairs[context, word] += weights[distance]
            sentence = []
    return dict(pairs)


def count_with_kernel(
    tokens: list[int], weights: list[int], *, symmetric: bool, slots: int
) -> dict[tuple[int, int], int]:
    """Count with the kernel and drain the table whenever it is full."""
    window, totals, position = len(weights) - 1, Counter[tuple[int, int]](), 0
    recent, state = np.zeros(window, np.int32), np.zeros(4, np.int64)
    table = np.full((slots, 2), EMPTY, np.uint64)
    stream, by_distance = np.array(tokens, np.int32), np.array(weights, np.uint64)
    keys, sums = np.empty(slots, np.uint64), np.empty(slots, np.uint64)
    while position < len(stream):
        position_before = position
        position = count(stream, position, NUMBERS, by_distance, recent, state, table, BITS, symmetric)
        assert position > position_before
        pairs = drain(table, BITS, symmetric, keys, sums)
        state[USED] = 0
        for key, value in zip(keys[:pairs].tolist(), sums[:pairs].tolist(), strict=True):
            totals[key >> BITS, key & (1 << BITS) - 1] += value
    assert state[COUNTED] == sum(NUMBERS[token] >= 0 for token in tokens)
    return dict(totals)


@pytest.mark.parametrize("symmetric", [True, False])
@settings(max_examples=60, deadline=None)
@given(tokens=TOKENS, window=st.integers(1, 6), extra_bits=st.integers(0, 3))
def test_every_pair_of_a_window_is_counted_once_however_small_the_table(
    symmetric: bool, tokens: list[int], window: int, extra_bits: int
) -> None:
    weights = [0, *range(window, 0, -1)]
    slots = 1 << (int(2 * window / MAX_LOAD).bit_length() + extra_bits)
    assert count_with_kernel(tokens, weights, symmetric=symmetric, slots=slots) == reference(
        tokens, weights, symmetric=symmetric
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, (1 << 30) - 1), max_size=200, unique=True))
def test_pairs_are_sorted_with_their_sums(numbers: list[int]) -> None:
    keys = np.array(numbers, np.uint64)
    sums, spare = keys + np.uint64(1), (np.empty_like(keys), np.empty_like(keys))
    ordered = spare if sort(keys, sums, *spare, 30) else (keys, sums)
    assert ordered[0].tolist() == sorted(numbers)
    assert ordered[1].tolist() == [key + 1 for key in sorted(numbers)]


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, 50)), st.sets(st.integers(0, 50)))
def test_two_lists_are_merged_and_equal_keys_are_added(left: set[int], right: set[int]) -> None:
    lists = [np.array(sorted(keys), np.uint64) for keys in (left, right)]
    keys, sums = np.empty(101, np.uint64), np.empty(101, np.uint64)
    length = merge(lists[0], lists[0] + np.uint64(1), lists[1], lists[1] + np.uint64(1), keys, sums)
    expected = Counter({key: key + 1 for key in left}) + Counter({key: key + 1 for key in right})
    assert dict(zip(keys[:length].tolist(), sums[:length].tolist(), strict=True)) == dict(expected)
    assert keys[:length].tolist() == sorted(left | right)
