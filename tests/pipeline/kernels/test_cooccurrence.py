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
    found: Counter[tuple[int, int]] = Counter()
    sentence: list[int] = []
    for token in [*tokens, 0]:
        number = int(NUMBERS[token])
        if number >= 0:
            sentence.append(number)
        elif number == BORDER:
            for at, word in enumerate(sentence):
                for distance, context in enumerate(sentence[max(0, at - len(weights) + 1) : at][::-1], 1):
                    found[word, context] += weights[distance]
                    if symmetric:
                        found[context, word] += weights[distance]
            sentence = []
    return dict(found)


def counted(tokens: list[int], weights: list[int], *, symmetric: bool, slots: int) -> dict[tuple[int, int], int]:
    """Count with the kernel and drain the table whenever it is full."""
    window, found, at = len(weights) - 1, Counter[tuple[int, int]](), 0
    last, state = np.zeros(window, np.int32), np.zeros(4, np.int64)
    table = np.full((slots, 2), EMPTY, np.uint64)
    stream, by_distance = np.array(tokens, np.int32), np.array(weights, np.uint64)
    keys, sums = np.empty(slots, np.uint64), np.empty(slots, np.uint64)
    while at < len(stream):
        before = at
        at = count(stream, at, NUMBERS, by_distance, last, state, table, BITS, symmetric)
        assert at > before
        pairs = drain(table, BITS, symmetric, keys, sums)
        state[USED] = 0
        for key, value in zip(keys[:pairs].tolist(), sums[:pairs].tolist(), strict=True):
            found[key >> BITS, key & (1 << BITS) - 1] += value
    assert state[COUNTED] == sum(NUMBERS[token] >= 0 for token in tokens)
    return dict(found)


@pytest.mark.parametrize("symmetric", [True, False])
@settings(max_examples=60, deadline=None)
@given(tokens=TOKENS, window=st.integers(1, 6), room=st.integers(0, 3))
def test_every_pair_of_a_window_is_counted_once_however_small_the_table(
    symmetric: bool, tokens: list[int], window: int, room: int
) -> None:
    weights = [0, *range(window, 0, -1)]
    slots = 1 << (int(2 * window / MAX_LOAD).bit_length() + room)
    assert counted(tokens, weights, symmetric=symmetric, slots=slots) == reference(tokens, weights, symmetric=symmetric)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, (1 << 30) - 1), max_size=200, unique=True))
def test_pairs_are_ordered_with_their_sums(found: list[int]) -> None:
    keys = np.array(found, np.uint64)
    sums, spare = keys + np.uint64(1), (np.empty_like(keys), np.empty_like(keys))
    ordered = spare if sort(keys, sums, *spare, 30) else (keys, sums)
    assert ordered[0].tolist() == sorted(found)
    assert ordered[1].tolist() == [key + 1 for key in sorted(found)]


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, 50)), st.sets(st.integers(0, 50)))
def test_two_lists_become_one_and_equal_keys_add_up(one: set[int], other: set[int]) -> None:
    lists = [np.array(sorted(keys), np.uint64) for keys in (one, other)]
    keys, sums = np.empty(101, np.uint64), np.empty(101, np.uint64)
    length = merge(lists[0], lists[0] + np.uint64(1), lists[1], lists[1] + np.uint64(1), keys, sums)
    expected = Counter({key: key + 1 for key in one}) + Counter({key: key + 1 for key in other})
    assert dict(zip(keys[:length].tolist(), sums[:length].tolist(), strict=True)) == dict(expected)
    assert keys[:length].tolist() == sorted(one | other)
