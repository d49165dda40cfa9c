"""The filter `length`: texts that are too short or too long, counted in units (words, or characters in Chinese)."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.filters.base import Filter, Rule


class Length(Filter):
    """The first rule of Gopher; see `section.Length`."""

    def rules(self) -> Sequence[Rule]:
        return [self.rule("min_units", "units"), self.rule("max_units", "units")]
