"""Filters: signals of a document, and rules over them that say who goes, by which rule, with which value.

A new filter is a file beside `quality.py`, a section in `section.py`, and a line in both tables.
"""

from __future__ import annotations

from pipeline.core.registry import Registry

FILTERS = Registry(
    "filter",
    {
        "length": "pipeline.filters.length:Length",
        "quality": "pipeline.filters.quality:Quality",
        "repetition": "pipeline.filters.repetition:Repetition",
    },
)
