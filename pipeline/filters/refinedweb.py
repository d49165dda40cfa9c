"""The filter `refinedweb`: pages that are mostly menus, counters, capitals (Penedo et al. 2023, G.2)."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.filters.published import PublishedFilter
from pipeline.kernels import published as counts


class RefinedWeb(PublishedFilter):
    """See `published_section.RefinedWebLimits`."""

    measures = counts.MENUS

    def quotients(self) -> Mapping[str, tuple[int, int | None]]:
        return {"refinedweb_flagged_words": (counts.FLAGGED_WORDS, counts.LINE_WORDS)}

    def signal_of(self, option: str) -> str:
        return "refinedweb_flagged_words"
