"""The weights of pairs as integers: sums of integers do not depend on their order, sums of fractions do.

A harmonic weight 1 / distance is a multiple of 1 / lcm(1 … window), for window 10 of 1 / 2520. The division comes last.
"""

from __future__ import annotations

from math import lcm

import numpy as np
from numpy.typing import NDArray

from pipeline.counts.section import Count

LIMIT = 1 << 63


def weight_scale(section: Count) -> int:
    """The integer weight that stands for a count of one."""
    return lcm(*range(1, section.window + 1)) if section.weighting == "harmonic" else 1


def weights_by_distance(section: Count) -> NDArray[np.uint64]:
    """The weights by distance, from 0 (which no pair has) to the window."""
    scale = weight_scale(section)
    by_distance = [scale // d if section.weighting == "harmonic" else 1 for d in range(1, section.window + 1)]
    return np.array([0, *by_distance], np.uint64)


def largest_sum(section: Count, occurrences: int) -> int:
    """The largest sum that a pair can reach if its word has this many occurrences."""
    return 2 * occurrences * int(weights_by_distance(section).sum())
