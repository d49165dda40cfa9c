"""Numbers read the same on the console and in the report."""

from __future__ import annotations

import pytest

from pipeline.core import figures


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0 B"), (999, "999 B"), (1234567, "1.23 MB"), (999_999, "1 MB"), (5.2e12, "5.2 TB")]
)
def test_sizes_have_three_figures_and_a_unit(value: float, shown: str) -> None:
    assert figures.size(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (134, "2 min 14 s"), (7500, "2 h 05 min")],
)
def test_durations_grow_coarser_as_they_grow_longer(seconds: float, shown: str) -> None:
    assert figures.duration(seconds) == shown


def test_rates_and_amounts_know_bytes_from_other_units() -> None:
    assert figures.rate(12_340_000, "bytes") == "12.3 MB/s"
    assert figures.rate(12_340, "tokens") == "12.3 k tokens/s"
    assert figures.amount(7394, "documents") == "7,394 documents"


def test_a_share_of_nothing_is_no_number() -> None:
    assert figures.percent(1, 0) == "–"
    assert figures.percent(1, 13) == "7.7 %"


@pytest.mark.parametrize(
    ("value", "shown"), [(0.000123, "0.00012"), (12345.6, "12,300"), (1.234, "1.23"), (-0.5, "-0.5")]
)
def test_three_figures_never_take_an_exponent_above_a_thousandth(value: float, shown: str) -> None:
    assert figures.significant(value) == shown


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_finite_number_is_shown_by_its_name(value: float) -> None:
    for show in (figures.count, figures.duration, figures.significant):
        assert show(value) == str(value)
    assert str(value) in figures.short(value) and str(value) in figures.size(value)


def test_one_thing_has_no_plural() -> None:
    assert [figures.plural(n, "stage") for n in (0, 1, 1200)] == ["0 stages", "1 stage", "1,200 stages"]
