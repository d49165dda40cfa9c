"""Spans go to the row's end: moved back, they give the row, less the tokens that sentinels replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.augment.base import Augmentation
from training.augment.span_corruption import partition
from training.augment.specials import span_token
from training.keyed_rng import keys, uniform

Build = Callable[..., Augmentation]


def restore(row: list[int], sentinels: set[int]) -> list[int]:
    """The text that a corrupted row was made of."""
    positions = [at for at, token in enumerate(row) if token in sentinels]
    if not positions:
        return row
    half = len(positions) // 2
    assert [row[at] for at in positions[:half]] == [row[at] for at in positions[half:]], "in the order of the text"
    spans = [
        row[start + 1 : stop] for start, stop in zip(positions[half:], [*positions[half + 1 :], len(row)], strict=True)
    ]
    assert all(spans), "no span is empty"
    restored, last = [], 0
    for at, text in zip(positions[:half], spans, strict=True):
        restored += [*row[last:at], *text]
        last = at + 1
    return [*restored, *row[last : positions[half]]]


def test_a_corrupted_row_can_be_restored(build: Build, rows: Any) -> None:
    augmentation = build("span_corruption", share=1.0)
    sentinels = {augmentation.specials[span_token(index)] for index in range(8)}
    tokens, lengths = augmentation.rows(*rows, keys(5, 1, np.arange(6)))
    for before, length, after, after_length in zip(*rows, tokens, lengths, strict=True):
        restored = restore(after[:after_length].tolist(), sentinels)
        assert restored == before[: len(restored)].tolist()
        count = (after_length - len(restored)) // 2
        assert length == 0 or count > 0
        assert len(restored) == min(length, 96 - 2 * count), "only the tokens that sentinels replace are lost"


def test_the_share_of_the_tokens_is_cut_in_spans_of_the_mean(build: Build) -> None:
    augmentation = build("span_corruption", share=1.0, corrupted=0.3, mean_span=4.0)
    sentinels = [augmentation.specials[span_token(index)] for index in range(7)]
    tokens, lengths = augmentation.rows(np.full((50, 96), 300), np.full(50, 90), keys(1, 2, np.arange(50)))
    assert (lengths == 96).all() and np.isin(tokens, sentinels).sum(1).tolist() == [14] * 50
    first_spans = [np.flatnonzero(row == sentinels[0])[1] for row in tokens]
    assert {96 - at - 7 for at in first_spans} == {round(0.3 * 82)}


def test_a_row_too_short_is_not_changed(build: Build) -> None:
    augmentation = build("span_corruption", share=1.0)
    row = np.array([[300, 301, 0, 0]])
    tokens, lengths = augmentation.rows(row, np.array([2]), keys(1, 1, np.arange(1)))
    assert tokens.tolist() == row.tolist() and lengths.tolist() == [2]


@given(st.integers(1, 40), st.data())
def test_a_partition_adds_up(total: int, data: Any) -> None:
    count = data.draw(st.integers(1, total))
    parts = partition(total, count, uniform(keys(data.draw(st.integers(0, 99)), 0, np.arange(1)), 64, "x")[0])
    assert parts.sum() == total and len(parts) == count and (parts > 0).all()


def test_every_partition_is_as_likely() -> None:
    draws = uniform(keys(3, 0, np.arange(6000)), 8, "x")
    partitions = [tuple(partition(5, 3, row)) for row in draws]
    counts = [partitions.count(parts) for parts in sorted(set(partitions))]
    assert len(counts) == 6 and max(counts) == pytest.approx(1000, rel=0.12)
