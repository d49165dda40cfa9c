"""Spans go to the row's end under their marks: put back, they give the row, less what the marks took the place of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.augment.base import Augmentation
from training.augment.span_corruption import partition
from training.augment.specials import span
from training.keyed_rng import keys, uniform

Build = Callable[..., Augmentation]


def put_back(row: list[int], marks: set[int]) -> list[int]:
    """The text that a corrupted row was made of."""
    where = [at for at, token in enumerate(row) if token in marks]
    if not where:
        return row
    half = len(where) // 2
    assert [row[at] for at in where[:half]] == [row[at] for at in where[half:]], "told in the order they were cut"
    told = [row[start + 1 : stop] for start, stop in zip(where[half:], [*where[half + 1 :], len(row)], strict=True)]
    assert all(told), "no span is empty"
    found, last = [], 0
    for at, text in zip(where[:half], told, strict=True):
        found += [*row[last:at], *text]
        last = at + 1
    return [*found, *row[last : where[half]]]


def test_put_back_a_corrupted_row_is_the_row(build: Build, rows: Any) -> None:
    one = build("span_corruption", share=1.0)
    marks = {one.specials[span(at)] for at in range(8)}
    tokens, lengths = one.rows(*rows, keys(5, 1, np.arange(6)))
    for before, length, after, now in zip(*rows, tokens, lengths, strict=True):
        found = put_back(after[:now].tolist(), marks)
        assert found == before[: len(found)].tolist()
        count = (now - len(found)) // 2
        assert length == 0 or count > 0
        assert len(found) == min(length, 96 - 2 * count), "only what the marks need is given up"


def test_the_share_of_the_tokens_is_cut_in_spans_of_the_mean(build: Build) -> None:
    one = build("span_corruption", share=1.0, corrupted=0.3, mean_span=4.0)
    marks = [one.specials[span(at)] for at in range(7)]
    tokens, lengths = one.rows(np.full((50, 96), 300), np.full(50, 90), keys(1, 2, np.arange(50)))
    assert (lengths == 96).all() and np.isin(tokens, marks).sum(1).tolist() == [14] * 50
    first_told = [np.flatnonzero(row == marks[0])[1] for row in tokens]
    assert {96 - at - 7 for at in first_told} == {round(0.3 * 82)}


def test_a_row_too_short_stays(build: Build) -> None:
    one = build("span_corruption", share=1.0)
    row = np.array([[300, 301, 0, 0]])
    tokens, lengths = one.rows(row, np.array([2]), keys(1, 1, np.arange(1)))
    assert tokens.tolist() == row.tolist() and lengths.tolist() == [2]


@given(st.integers(1, 40), st.data())
def test_a_partition_is_one(total: int, data: Any) -> None:
    count = data.draw(st.integers(1, total))
    found = partition(total, count, uniform(keys(data.draw(st.integers(0, 99)), 0, np.arange(1)), 64, "x")[0])
    assert found.sum() == total and len(found) == count and (found > 0).all()


def test_every_partition_is_as_likely() -> None:
    draws = uniform(keys(3, 0, np.arange(6000)), 8, "x")
    found = [tuple(partition(5, 3, row)) for row in draws]
    counts = [found.count(one) for one in sorted(set(found))]
    assert len(counts) == 6 and max(counts) == pytest.approx(1000, rel=0.12)
