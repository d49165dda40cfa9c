"""How blocks meet: what is added, what is averaged, and that it does not matter who does it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from training.vectors import blocks
from training.vectors.base import BlockBuffer, TableSpec
from training.vectors.compiler import kernel

STRIDE, ROWS = 16, 40


@kernel
def damped_share(blocks_of_row: int, visits: int, damping: float) -> float:
    return blocks.damped_share(blocks_of_row, visits, damping)


def boxes(draw: np.random.Generator, table: NDArray[np.float32], count: int) -> list[BlockBuffer]:
    """Some blocks that changed some rows of a table."""
    buffers = []
    for _ in range(count):
        members = draw.permutation(ROWS)[: draw.integers(1, ROWS)].astype(np.int32)
        buffer = BlockBuffer(
            members, draw.integers(0, 50, len(members), np.int32), np.ones((len(members) + 1) * STRIDE, np.float32)
        )
        buffer.count = len(members)
        blocks.copy_out(table.reshape(-1), STRIDE, members, buffer.count, buffer.copies)
        assert not buffer.rows(STRIDE)[-STRIDE:].any()
        buffer.rows(STRIDE)[:-STRIDE] += draw.normal(size=buffer.count * STRIDE).astype(np.float32)
        blocks.compare(table.reshape(-1), STRIDE, members, buffer.count, buffer.copies)
        buffers.append(buffer)
    return buffers


def merged(table: NDArray[np.float32], buffers: list[BlockBuffer], damping: float, world: int) -> NDArray[np.float32]:
    table, held = table.copy(), np.zeros((2, ROWS), np.int32)
    for buffer in buffers:
        blocks.tally(buffer.members, buffer.visits, buffer.count, held[0], held[1])
    for rank in range(world):
        for buffer in buffers:
            blocks.merge(
                table.reshape(-1),
                STRIDE,
                buffer.members,
                buffer.count,
                buffer.copies,
                held[0],
                held[1],
                damping,
                rank,
                world,
            )
    for buffer in buffers:
        blocks.clear(buffer.members, buffer.count, held[0], held[1])
    assert not held.any()
    return table


@pytest.mark.parametrize("damping", [0.0, 0.01, 10.0])
def test_changes_meet_as_written(damping: float) -> None:
    draw = np.random.default_rng(5)
    table = draw.normal(size=(ROWS, STRIDE)).astype(np.float32)
    buffers = boxes(draw, table, 4)
    expected = table.astype(np.float64)
    for row in range(ROWS):
        holders = [(buffer, np.flatnonzero(buffer.members == row)[0]) for buffer in buffers if row in buffer.members]
        visits = sum(int(buffer.visits[at]) for buffer, at in holders)
        for buffer, at in holders:
            expected[row] += damped_share(len(holders), visits, damping) * buffer.copies.reshape(-1, STRIDE)[at]
    np.testing.assert_allclose(merged(table, buffers, damping, 1), expected, atol=1e-5)


def test_the_bits_do_not_depend_on_how_many_workers_add_them_up() -> None:
    draw = np.random.default_rng(6)
    table = draw.normal(size=(ROWS, STRIDE)).astype(np.float32)
    buffers = boxes(draw, table, 6)
    alone = merged(table, buffers, 0.02, 1)
    for world in (2, 3, 5):
        assert np.array_equal(merged(table, buffers, 0.02, world), alone)


def test_a_row_that_is_seldom_visited_gets_the_sum_and_one_that_often_is_the_mean() -> None:
    assert damped_share(1, 1000, 0.1) == 1.0
    assert damped_share(8, 1, 1e-4) == pytest.approx(1, abs=1e-3)
    assert damped_share(8, 100_000, 1.0) == pytest.approx(1 / 8, rel=1e-3)
    shares = [damped_share(8, visits, 0.01) for visits in range(0, 2000, 50)]
    assert shares == sorted(shares, reverse=True)


def test_rows_are_padded_to_a_multiple_of_the_simd_width() -> None:
    assert [TableSpec(1, width, 1).stride for width in (1, 16, 17, 100, 300)] == [16, 16, 32, 112, 304]
