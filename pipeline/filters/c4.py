"""The filter `c4`: C4's rules for a page, counted on the lines that its rules for lines keep (Raffel et al. 2020).

It needs no cleaner: the lines are judged while they are measured. The cleaner `c4_lines` also removes them.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.filters.published import PublishedFilter
from pipeline.filters.published_section import C4Limits as Options
from pipeline.kernels import published as counts
from pipeline.kernels import raw_lines
from pipeline.kernels.c4_lines import LineRules

SIGNALS = {
    "max_lorem_ipsum": "c4_lorem_ipsum", "max_curly_brackets": "c4_curly_brackets", "min_sentences": "c4_sentences",
    "min_long_lines": "c4_long_lines",
}  # fmt: skip


def line_rules(reading: str, *, end_mark: bool) -> LineRules:
    """The rules for lines of a reading."""
    exact = reading == "datatrove"
    return LineRules(end_mark, exact, exact, 5 if reading == "code" else 3, not exact)


class C4(PublishedFilter):
    """See `published_section.C4Limits`."""

    measures = counts.C4
    options: Options

    def quotients(self) -> Mapping[str, tuple[int, int | None]]:
        return {
            "c4_lorem_ipsum": (counts.LOREM_LINES, None),
            "c4_curly_brackets": (counts.BRACKET_LINES, None),
            "c4_sentences": (counts.SENTENCES, None),
            "c4_long_lines": (raw_lines.LONG, None),
        }

    def signal_of(self, option: str) -> str:
        return SIGNALS[option]

    def line_rules(self) -> LineRules:
        return line_rules(self.options.reading, end_mark=self.options.end_mark)
