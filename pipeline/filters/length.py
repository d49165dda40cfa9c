"""Too short to teach anything, or longer than wanted: counted in units (words; characters in Chinese and its like)."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.filters.base import Filter, Rule


class Length(Filter):
    """Gopher's first rule; see `section.Length`."""

    def rules(self) -> Sequence[Rule]:
        return [self.rule("min_units", "units"), self.rule("max_units", "units")]
