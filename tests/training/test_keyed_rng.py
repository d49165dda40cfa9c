"""Numbers drawn for a row are its own: whatever else is drawn, whoever draws, and whenever."""

from __future__ import annotations

import numpy as np
import pytest

from training.keyed_rng import keys, uniform

EXPECTED = [0.7594803882436518, 0.30125192339453943, 0.7780124387416227, 0.8598307594197104]


def test_a_row_draws_the_same_numbers_in_any_company() -> None:
    everyone = uniform(keys(17, 3, np.arange(64)), 100, "mask")
    alone = uniform(keys(17, 3, np.array([41])), 100, "mask")
    assert np.array_equal(everyone[41], alone[0])
    assert np.array_equal(uniform(keys(17, 3, np.arange(64)), 10, "mask"), everyone[:, :10]), "more are only appended"


def test_known_numbers_stay_what_they_are() -> None:
    # written down once: a change here is another experiment for every resumed run
    found = uniform(keys(17, 3, np.array([0, 1])), 2, "mask")
    assert found.ravel().tolist() == pytest.approx(EXPECTED, abs=1e-15)


@pytest.mark.parametrize("other", [(18, 3, 0, "mask"), (17, 4, 0, "mask"), (17, 3, 1, "mask"), (17, 3, 0, "span")])
def test_another_seed_step_place_or_purpose_is_another_draw(other: tuple[int, int, int, str]) -> None:
    seed, step, place, purpose = other
    one = uniform(keys(17, 3, np.array([0])), 4096, "mask")[0]
    two = uniform(keys(seed, step, np.array([place])), 4096, purpose)[0]
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.06


def test_numbers_are_even_over_rows_and_within_them() -> None:
    found = uniform(keys(2**63, 0, np.arange(-1, 999)), 200, "x")
    assert found.min() >= 0 and found.max() < 1
    assert found.mean() == pytest.approx(0.5, abs=0.002) and found.std() == pytest.approx(12**-0.5, abs=0.002)
    assert np.histogram(found, 50, (0, 1))[0] == pytest.approx(4000, rel=0.08)
    assert np.ptp(found.mean(axis=1)) < 0.2, "no row is special"
