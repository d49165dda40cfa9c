"""The filter `repetition`: repeated lines, paragraphs, and n-grams of two to ten units (Gopher, table A1)."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.filters import section
from pipeline.filters.base import Filter, Rule


class Repetition(Filter):
    """Each option is a rule over the signal of the same name (`pipeline.kernels.signals`), in the section's order."""

    def rules(self) -> Sequence[Rule]:
        return [self.rule(option, option[len("max_") :]) for option in section.Repetition.model_fields]
