"""The YAML section `count:`; pydantic only, so that `check` and `plan` stay light."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from pipeline.core.config import Section


class Count(Section):
    """How often words stand near each other (Pennington et al. 2014, section 3 and 4.2).

    A word `distance` words away counts 1 / distance (harmonic), or 1 (flat). `symmetric`: words after count as those
    before; else the context is what stands before. Wider windows than 20 would leave whole numbers of 64 bits.
    """

    window: int = Field(10, ge=1, le=20)
    symmetric: bool = True
    weighting: Literal["harmonic", "flat"] = "harmonic"
    min_count: PositiveInt = 1  # words rarer than this in the training rows are left out, as unknown ones are
