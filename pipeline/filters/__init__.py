"""Filters: rules over the signals of a document that decide which documents are dropped, by which rule and value.

To add a filter, write a file beside `quality.py` with its section and its class, and add a line here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.core.registry import Entry, Registry

if TYPE_CHECKING:
    from pipeline.filters.base import Filter

_PUBLISHED = "pipeline.filters.published_section"
_OPTIONS, _CODE = "pipeline.filters.section", "pipeline.filters"

FILTERS: Registry[Filter] = Registry(
    "filter",
    (
        Entry("blocked_urls", f"{_CODE}.blocklist_section:BlockedUrls", f"{_CODE}.blocked_urls:UrlBlocklist"),
        Entry("blocked_words", f"{_CODE}.blocklist_section:BlockedWords", f"{_CODE}.blocked_words:WordBlocklist"),
        Entry("language", f"{_CODE}.language_section:LanguageOptions", f"{_CODE}.language:LanguageFilter"),
        Entry("length", f"{_OPTIONS}:Length", f"{_CODE}.length:Length"),
        Entry("encoding", f"{_CODE}.encoding:WrongCharacterLimits", f"{_CODE}.encoding:WrongCharacters"),
        Entry("c4", f"{_PUBLISHED}:C4Limits", f"{_CODE}.c4:C4"),
        Entry("fineweb", f"{_PUBLISHED}:FineWebLimits", f"{_CODE}.fineweb:FineWeb"),
        Entry("gopher_quality", f"{_PUBLISHED}:GopherQualityLimits", f"{_CODE}.gopher:GopherQuality"),
        Entry("gopher_repetition", f"{_PUBLISHED}:GopherRepetitionLimits", f"{_CODE}.gopher:GopherRepetition"),
        Entry("quality", f"{_OPTIONS}:Quality", f"{_CODE}.quality:Quality"),
        Entry("pii", f"{_CODE}.pii:PiiLimits", f"{_CODE}.pii:PersonalDataLimits"),
        Entry("refinedweb", f"{_PUBLISHED}:RefinedWebLimits", f"{_CODE}.refinedweb:RefinedWeb"),
        Entry("score", f"{_CODE}.score_section:ScoreThresholds", f"{_CODE}.score:ScoreLimits"),
        Entry("repetition", f"{_OPTIONS}:Repetition", f"{_CODE}.repetition:Repetition"),
    ),
    base="pipeline.filters.base:Filter",
    functions=True,
)
