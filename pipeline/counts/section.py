"""The YAML section `count:`. It imports only pydantic, so `check` and `plan` start fast."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from pipeline.core.config import Section


class Count(Section):
    """Co-occurrence counts of words (Pennington et al. 2014, sections 3 and 4.2).

    A context word at a given distance counts 1 / distance (harmonic), or 1 (flat). With `symmetric`, words after a word
    are contexts too; otherwise only those before it. The sums of windows wider than 20 could exceed 64-bit integers.
    """

    window: int = Field(10, ge=1, le=20)
    symmetric: bool = True
    weighting: Literal["harmonic", "flat"] = "harmonic"
    min_count: PositiveInt = 1  # rarer words of the training rows are left out, like unknown ones
