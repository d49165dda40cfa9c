"""Vectors of whole numbers: products, nearest centroids and survivors as plain Python has them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.kernels.vectors import ONE, SCALE, nearest, project, select_distinct, sum_by_label, to_unit


@pytest.fixture
def vectors() -> np.ndarray:
    """150 vectors in 40 bundles, more than two tiles."""
    draw = np.random.default_rng(3)
    middles = draw.normal(size=(40, 24))
    unit, known = to_unit(middles[np.arange(150) % 40] + 0.3 * draw.normal(size=(150, 24)))
    assert known.all()
    return unit


def test_a_cosine_is_right_to_a_ten_thousandth(vectors: np.ndarray) -> None:
    values = vectors.astype(float)
    lengths = np.linalg.norm(values, axis=1)
    assert np.abs(lengths / SCALE - 1).max() < 1e-4
    draw = np.random.default_rng(4).normal(size=(50, 24))
    unit, _ = to_unit(draw)
    cosines = draw @ draw.T / np.outer(np.linalg.norm(draw, axis=1), np.linalg.norm(draw, axis=1))
    products = unit.astype(np.int64) @ unit.T.astype(np.int64)
    assert np.abs(products / ONE - cosines).max() < 2e-4


@pytest.mark.parametrize("row", [[0.0, 0.0], [math.nan, 1.0], [1.0, math.nan], [math.inf, 1.0]])
def test_a_row_without_a_direction_is_zeros(row: list[float]) -> None:
    unit, known = to_unit(np.array([row, [3.0, 4.0]]))
    assert known.tolist() == [False, True] and unit.tolist() == [[0, 0], [9830, 13107]]


def test_the_size_of_numbers_does_not_matter() -> None:
    for factor in (1e-200, 1.0, 1e200):
        assert to_unit(np.array([[3.0, -4.0]]) * factor)[0].tolist() == [[9830, -13107]]
    assert to_unit(np.array([[3, -4]], np.int64) << 40)[0].tolist() == [[9830, -13107]]


def test_opposite_vectors_of_the_largest_width_do_not_overflow() -> None:
    unit, _ = to_unit(np.ones((2, 8192)) * [[1], [-1]])
    labels, products = np.empty(2, np.int64), np.empty(2, np.int32)
    nearest(unit, unit[:1], labels, products)
    assert products.tolist() == (unit.astype(np.int64) @ unit[0].astype(np.int64)).tolist()


def test_the_nearest_centroid_is_the_first_with_the_largest_product(vectors: np.ndarray) -> None:
    centroids = np.concatenate([vectors[:70], vectors[:70]])
    labels, products = np.empty(150, np.int64), np.empty(150, np.int32)
    nearest(vectors, centroids, labels, products)
    expected = vectors.astype(np.int64) @ centroids.T.astype(np.int64)
    assert labels.tolist() == expected.argmax(1).tolist() and products.tolist() == expected.max(1).tolist()


def test_sums_are_by_label(vectors: np.ndarray) -> None:
    labels, sums = np.arange(150) % 3, np.zeros((3, 24), np.int64)
    sum_by_label(vectors, labels, sums)
    assert sums.tolist() == [vectors[n::3].sum(0, dtype=np.int64).tolist() for n in range(3)]


def test_survivors_are_those_that_are_like_no_earlier_survivor(vectors: np.ndarray) -> None:
    least = np.int32(0.8 * ONE)
    survivor_of, survivors = np.empty(150, np.int64), np.empty(150, np.int64)
    products = np.empty(150, np.int32)
    count, compared = select_distinct(vectors, least, survivor_of, products, survivors).tolist()
    expected, stay, pairs = [], list[int](), 0
    for i in range(150):
        pairs += len(stay)
        by_product = [(int(vectors[i].astype(np.int64) @ vectors[s].astype(np.int64)), -s) for s in stay]
        best = max(by_product, default=(0, 0))
        expected.append((-best[1], best[0]) if best[0] >= least else (i, ONE))
        stay += [i] if expected[-1][0] == i else []
    assert list(zip(survivor_of.tolist(), products.tolist(), strict=True)) == expected
    assert survivors[:count].tolist() == stay and 40 <= count < 150 and compared == pairs


def test_the_product_of_hashed_sets_is_near_what_they_share() -> None:
    draw = np.random.default_rng(5)
    shared, own = draw.integers(0, 1 << 63, 400, np.uint64), draw.integers(0, 1 << 63, (2, 100), np.uint64)
    hashes = np.concatenate([shared, own[0], shared, own[1]])
    sums = np.zeros((2, 512), np.int64)
    project(hashes, np.array([0, 500, 1000]), sums)
    assert abs(sums).sum() > 500
    unit, _ = to_unit(sums)
    assert abs(int(unit[0].astype(np.int64) @ unit[1].astype(np.int64)) / ONE - 0.8) < 0.1
