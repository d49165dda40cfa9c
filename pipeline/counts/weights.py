"""What a pair of words counts, as whole numbers: sums of them are the same in any order, sums of fractions are not.

A harmonic weight 1 / distance is a multiple of 1 / lcm(1 … window): for window 10, of 1 / 2520. Division comes last.
"""

from __future__ import annotations

from math import lcm

import numpy as np
from numpy.typing import NDArray

from pipeline.counts.section import Count

LIMIT = 1 << 63


def unit(section: Count) -> int:
    """How many of the whole numbers below make a count of one."""
    return lcm(*range(1, section.window + 1)) if section.weighting == "harmonic" else 1


def weights(section: Count) -> NDArray[np.uint64]:
    """By distance, from 0 (which no pair has) to the window."""
    whole = unit(section)
    by_distance = [whole // d if section.weighting == "harmonic" else 1 for d in range(1, section.window + 1)]
    return np.array([0, *by_distance], np.uint64)


def largest_sum(section: Count, occurrences: int) -> int:
    """No pair of a word that occurs so often can sum up to more."""
    return 2 * occurrences * int(weights(section).sum())
