"""Charts are drawn of whatever a run left behind: also of numbers that are not finite, or larger than a picture."""

from __future__ import annotations

import pytest

from cluster.report.charts import curves, ticks
from pipeline.core.report import Series

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("value", [NAN, INF, -INF, 1.7e308, -1.7e308])
def test_a_point_without_a_place_is_left_out(value: float) -> None:
    whole = curves([Series("loss", [(1, 4.0), (3, 2.0)])], x_label="step", y_label="loss")
    assert curves([Series("loss", [(1, 4.0), (2, value), (3, 2.0)])], x_label="step", y_label="loss") == whole
    assert curves([Series("loss", [(1, value)])], x_label="step", y_label="loss") == ""


def test_ticks_are_written_with_all_their_digits() -> None:
    drawing = curves([Series("loss", [(1000, 6.82), (5000, 6.94)])], x_label="step", y_label="loss")
    assert all(f">{label}<" in drawing for label in ("6.8", "6.825", "6.875", "6.925", "6.95", "2000"))


def test_large_and_equal_values_have_ticks() -> None:
    assert len(ticks(-1e299, 1e299)) > 2
    assert curves([Series("loss", [(1, 3e38), (2, 3e38)])], x_label="step", y_label="loss")
