"""Filters: signals of a document, and rules over them that say who goes, by which rule, with which value.

A new filter is a file beside `quality.py` with its section and its class, and a line here.
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
        Entry("length", f"{_OPTIONS}:Length", f"{_CODE}.length:Length"),
        Entry("quality", f"{_OPTIONS}:Quality", f"{_CODE}.quality:Quality"),
        Entry("repetition", f"{_OPTIONS}:Repetition", f"{_CODE}.repetition:Repetition"),
    ),
    base="pipeline.filters.base:Filter",
    functions=True,
)
