"""Columns of signals as numpy arrays, without Arrow's conversion."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipeline.filters.measured_rows import _floats


@pytest.mark.parametrize(
    "column",
    [
        pa.chunked_array([[0.5, 1.0], [float("nan")]]), pa.chunked_array([pa.array([1, 2.5, 3], pa.float32())]),
        pa.chunked_array([pa.array([0.0, 1.5, 2.5, 3.5]).slice(1, 2)]), pa.chunked_array([], pa.float64()),
        pa.chunked_array([[None, 2.0]], pa.float64()),
    ],
)  # fmt: skip
def test_a_column_of_signals_has_the_values_that_arrow_gives(column: pa.ChunkedArray) -> None:
    expected = np.array([np.nan if value is None else value for value in column.to_pylist()], np.float64)
    np.testing.assert_array_equal(_floats(column), expected)
    assert _floats(column).dtype == np.float64
