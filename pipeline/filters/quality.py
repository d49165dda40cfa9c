"""Text that does not read like text: Gopher's quality rules over measured signals, language by language."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.filters.base import Filter, Rule
from pipeline.filters.section import Quality as Options


class Quality(Filter):
    """Every option is a rule over the signal of the same name (`pipeline.kernels.signals`), in the section's order."""

    Options = Options

    def rules(self) -> Sequence[Rule]:
        return [self.rule(option, option[len("min_") :]) for option in Options.model_fields]
