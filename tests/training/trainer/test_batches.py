"""Which rows a step sees: every row once an epoch, in an order that is the same anywhere and for ever."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import UserError
from training.trainer.batches import fingerprint, permuted, rows_of_step, share


@given(st.integers(1, 700), st.integers(0, 2**63 - 1), st.integers(0, 1000))
def test_an_epoch_is_a_permutation(size: int, seed: int, epoch: int) -> None:
    values = permuted(np.arange(size), size=size, seed=seed, epoch=epoch)
    assert sorted(values.tolist()) == list(range(size))


@given(st.integers(1, 40), st.integers(1, 60), st.integers(1, 5))
def test_steps_go_through_the_rows_epoch_by_epoch(rows: int, batch_rows: int, epochs: int) -> None:
    steps = -(-rows * epochs // batch_rows)
    seen = np.concatenate([rows_of_step(step, rows=rows, batch_rows=batch_rows, seed=9) for step in range(steps)])
    for epoch in range(epochs):
        assert sorted(seen[epoch * rows : (epoch + 1) * rows].tolist()) == list(range(rows))


@pytest.mark.parametrize("world", [1, 2, 4, 8])
def test_workers_share_out_the_same_batch(world: int) -> None:
    batch = rows_of_step(3, rows=100, batch_rows=16, seed=1)
    assert np.array_equal(
        np.concatenate([share(batch, rank=rank, worker_rows=16 // world) for rank in range(world)]), batch
    )


def test_another_seed_and_another_epoch_are_another_order() -> None:
    orders = [permuted(np.arange(1000), size=1000, seed=seed, epoch=epoch) for seed in (1, 2) for epoch in (0, 1)]
    for index, order in enumerate(orders):
        for earlier_order in orders[:index]:
            assert (order == earlier_order).mean() < 0.02
    # no trace of the old order: neighbours lie far apart
    assert np.abs(np.diff(orders[0])).mean() == pytest.approx(1000 / 3, rel=0.1)


def test_the_order_is_pinned() -> None:
    # it decides which documents a published model saw in which step: a change here is a new version of the stage
    assert rows_of_step(0, rows=10, batch_rows=10, seed=17).tolist() == [4, 6, 2, 0, 5, 8, 9, 3, 1, 7]
    assert fingerprint(rows_of_step(123, rows=100_003, batch_rows=64, seed=17)) == "56426e7e92071d41"


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 11))
def test_a_stream_reads_its_own_rows_one_after_the_other(batch_rows: int, each: int, left_over: int) -> None:
    rows = batch_rows * each + left_over % batch_rows
    seen = np.stack(
        [rows_of_step(step, rows=rows, batch_rows=batch_rows, seed=1, order="streams") for step in range(each + 1)]
    )
    assert sorted(seen[:each].ravel().tolist()) == list(range(batch_rows * each))
    assert (np.diff(seen[:each], axis=0) == 1).all()
    assert np.array_equal(seen[each], seen[0]), "an epoch later every stream begins anew"


def test_fewer_rows_than_streams_are_refused() -> None:
    with pytest.raises(UserError, match="a batch is 8 streams and there are 7 rows"):
        rows_of_step(0, rows=7, batch_rows=8, seed=1, order="streams")
