"""Filters: rules over the signals of a document that decide which documents are dropped, by which rule and value.

To add a filter, write a file beside `quality.py` with its section and its class, and add a line here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.core.registry import Entry, Registry

if TYPE_CHECKING:
    from pipeline.filters.base import Filter

_OPTIONS, _CODE = "pipeline.filters.section", "pipeline.filters"

FILTERS: Registry[Filter] = Registry(
    "filter",
    (
        Entry("language", f"{_CODE}.language_section:LanguageOptions", f"{_CODE}.language:LanguageFilter"),
        Entry("length", f"{_OPTIONS}:Length", f"{_CODE}.length:Length"),
        Entry("encoding", f"{_CODE}.encoding:Options", f"{_CODE}.encoding:Encoding"),
        Entry("quality", f"{_OPTIONS}:Quality", f"{_CODE}.quality:Quality"),
        Entry("pii", f"{_CODE}.pii:PiiLimits", f"{_CODE}.pii:PersonalDataLimits"),
        Entry("repetition", f"{_OPTIONS}:Repetition", f"{_CODE}.repetition:Repetition"),
    ),
    base="pipeline.filters.base:Filter",
    functions=True,
)
