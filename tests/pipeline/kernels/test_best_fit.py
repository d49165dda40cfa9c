"""Best fit against a plain reference: the same rows, none too full, and few more than there must be."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kernels.best_fit import best_fit


def reference(sizes: list[int], capacity: int) -> list[int]:
    """Every open row is looked at for every piece."""
    rows = [0] * len(sizes)
    free: list[int] = []
    changed: list[int] = []  # when each row got the room that it has
    order = sorted(range(len(sizes)), key=lambda at: (-sizes[at], at))
    for moment, piece in enumerate(order):
        open_rows = [row for row, space in enumerate(free) if space >= sizes[piece]]
        if not open_rows:
            free.append(capacity)
            changed.append(moment)
            open_rows = [len(free) - 1]
        row = min(open_rows, key=lambda row: (free[row], -changed[row]))
        free[row] -= sizes[piece]
        changed[row] = moment
        rows[piece] = row
    return rows


@given(st.integers(2, 70).flatmap(lambda top: st.tuples(st.just(top), st.lists(st.integers(1, top), max_size=60))))
def test_pieces_go_where_the_reference_puts_them(drawn: tuple[int, list[int]]) -> None:
    capacity, sizes = drawn
    pieces = np.array(sizes, np.int64)
    rows = np.empty(len(pieces), np.int64)
    count = best_fit(pieces, np.argsort(-pieces, kind="stable"), capacity, rows)
    assert rows.tolist() == reference(sizes, capacity)
    full = np.bincount(rows, weights=pieces, minlength=count) if len(pieces) else np.zeros(0)
    assert (full <= capacity).all() and (full > 0).all()
    # no two rows fit into one, so at most one is half empty
    assert count <= 2 * -(-sum(sizes) // capacity)
