"""The filter `fineweb`: the rules that FineWeb adds to Gopher's and C4's (Penedo et al. 2024, 3.6)."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.filters.published import PublishedFilter
from pipeline.kernels import published as counts
from pipeline.kernels import raw_lines


class FineWeb(PublishedFilter):
    """See `published_section.FineWebLimits`. Line breaks are divided by tokens in the reading `datatrove`."""

    measures = counts.TOKENS

    def quotients(self) -> Mapping[str, tuple[int, int | None]]:
        return {
            "fineweb_ended_lines": (raw_lines.ENDED, raw_lines.FILLED),
            "fineweb_short_lines": (raw_lines.SHORT, raw_lines.FILLED),
            "fineweb_repeated_line_characters": (raw_lines.REPEATED_FILLED_CHARACTERS, counts.LINE_CHARACTERS),
            "fineweb_line_breaks": (raw_lines.FEEDS, counts.TOKEN_COUNT),
        }

    def signal_of(self, option: str) -> str:
        return f"fineweb_{option[len('min_') :]}"
