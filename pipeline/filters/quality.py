"""The filter `quality`: text that does not read like prose, by the quality rules of Gopher, for each language."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.filters import section
from pipeline.filters.base import Filter, Rule


class Quality(Filter):
    """Each option is a rule over the signal of the same name (`pipeline.kernels.signals`), in the section's order."""

    def rules(self) -> Sequence[Rule]:
        return [self.rule(option, option[len("min_") :]) for option in section.Quality.model_fields]
