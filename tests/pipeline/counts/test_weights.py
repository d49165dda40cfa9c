"""Whole-number weights are the published ones."""

from __future__ import annotations

from fractions import Fraction

import pytest

from pipeline.counts.section import Count
from pipeline.counts.weights import LIMIT, largest_sum, weight_scale, weights_by_distance


@pytest.mark.parametrize("window", [1, 2, 10, 15, 20])
def test_a_harmonic_weight_is_exactly_one_over_the_distance(window: int) -> None:
    section = Count(window=window)
    by_distance = [Fraction(int(weight), weight_scale(section)) for weight in weights_by_distance(section)]
    assert by_distance == [0, *(Fraction(1, distance) for distance in range(1, window + 1))]


def test_a_flat_weight_is_one() -> None:
    section = Count(window=3, weighting="flat")
    assert (weight_scale(section), weights_by_distance(section).tolist()) == (1, [0, 1, 1, 1])


def test_the_widest_window_leaves_room_for_billions_of_one_word() -> None:
    assert largest_sum(Count(window=20), 5_000_000_000) < LIMIT
