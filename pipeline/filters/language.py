"""The filter `language`: keeps the languages that are named, where the language is certain and the text has no other.

The stage `signals` identifies the language (`clean.language`) and measures both signals. They are NaN for documents
whose tag was not examined: the rules skip these, and count them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pipeline.filters import language_section
from pipeline.filters.base import Filter, Rule


class LanguageFilter(Filter):
    """The language is among `keep`, its confidence is high enough, and a second language is small enough."""

    def rules(self) -> Sequence[Rule]:
        keep = cast(language_section.LanguageOptions, self.options).keep
        confidence = self.rule("min_confidence", "language_confidence")
        named = [] if keep is None else [Rule(f"{self.name}.keep", confidence.signal, "min", {}, frozenset(keep))]
        return [*named, confidence, self.rule("max_second_language", "second_language")]
