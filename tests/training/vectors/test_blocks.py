"""How blocks meet: what is added, what is averaged, and that it does not matter who does it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from training.vectors import blocks
from training.vectors.base import Desk, Table
from training.vectors.blocks import share_of

STRIDE, ROWS = 16, 40


def boxes(draw: np.random.Generator, table: NDArray[np.float32], count: int) -> list[Desk]:
    """Some blocks that changed some rows of a table."""
    found = []
    for _ in range(count):
        members = draw.permutation(ROWS)[: draw.integers(1, ROWS)].astype(np.int32)
        desk = Desk(
            members, draw.integers(0, 50, len(members), np.int32), np.ones((len(members) + 1) * STRIDE, np.float32)
        )
        desk.count = len(members)
        blocks.copy_out(table.reshape(-1), STRIDE, members, desk.count, desk.own)
        assert not desk.rows(STRIDE)[-STRIDE:].any()
        desk.rows(STRIDE)[:-STRIDE] += draw.normal(size=desk.count * STRIDE).astype(np.float32)
        blocks.compare(table.reshape(-1), STRIDE, members, desk.count, desk.own)
        found.append(desk)
    return found


def merged(table: NDArray[np.float32], desks: list[Desk], pull: float, world: int) -> NDArray[np.float32]:
    table, held = table.copy(), np.zeros((2, ROWS), np.int32)
    for desk in desks:
        blocks.tally(desk.members, desk.visits, desk.count, held[0], held[1])
    for rank in range(world):
        for desk in desks:
            blocks.merge(
                table.reshape(-1), STRIDE, desk.members, desk.count, desk.own, held[0], held[1], pull, rank, world
            )
    for desk in desks:
        blocks.clear(desk.members, desk.count, held[0], held[1])
    assert not held.any()
    return table


@pytest.mark.parametrize("pull", [0.0, 0.01, 10.0])
def test_changes_meet_as_written(pull: float) -> None:
    draw = np.random.default_rng(5)
    table = draw.normal(size=(ROWS, STRIDE)).astype(np.float32)
    desks = boxes(draw, table, 4)
    expected = table.astype(np.float64)
    for row in range(ROWS):
        holders = [(desk, np.flatnonzero(desk.members == row)[0]) for desk in desks if row in desk.members]
        visits = sum(int(desk.visits[at]) for desk, at in holders)
        for desk, at in holders:
            expected[row] += share_of(len(holders), visits, pull) * desk.own.reshape(-1, STRIDE)[at]
    np.testing.assert_allclose(merged(table, desks, pull, 1), expected, atol=1e-5)


def test_the_bits_do_not_depend_on_how_many_workers_add_them_up() -> None:
    draw = np.random.default_rng(6)
    table = draw.normal(size=(ROWS, STRIDE)).astype(np.float32)
    desks = boxes(draw, table, 6)
    alone = merged(table, desks, 0.02, 1)
    for world in (2, 3, 5):
        assert np.array_equal(merged(table, desks, 0.02, world), alone)


def test_a_row_that_is_seldom_visited_gets_the_sum_and_one_that_often_is_the_mean() -> None:
    assert share_of(1, 1000, 0.1) == 1.0
    assert share_of(8, 1, 1e-4) == pytest.approx(1, abs=1e-3)
    assert share_of(8, 100_000, 1.0) == pytest.approx(1 / 8, rel=1e-3)
    shares = [share_of(8, visits, 0.01) for visits in range(0, 2000, 50)]
    assert shares == sorted(shares, reverse=True)


def test_rows_are_filled_up_to_whole_lanes() -> None:
    assert [Table(1, width, 1).stride for width in (1, 16, 17, 100, 300)] == [16, 16, 32, 112, 304]
