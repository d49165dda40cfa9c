"""Passages that stand in a corpus several times: what a finder takes for one, which copy stays, what is cut out.

To add a finder, write a file beside `lines.py` with its class, its section in `section.py`, and a line here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.core.registry import Entry, Registry

if TYPE_CHECKING:
    from pipeline.passages.base import PassageFinder

_OPTIONS, _CODE = "pipeline.passages.section", "pipeline.passages"

FINDERS: Registry[PassageFinder] = Registry(
    "finder",
    (
        Entry("boilerplate", f"{_OPTIONS}:Boilerplate", f"{_CODE}.boilerplate:BoilerplateLines"),
        Entry("lines", f"{_OPTIONS}:Lines", f"{_CODE}.lines:RepeatedLines"),
        Entry("paragraphs", f"{_OPTIONS}:Paragraphs", f"{_CODE}.paragraphs:RepeatedParagraphs"),
        Entry("sentences", f"{_OPTIONS}:Sentences", f"{_CODE}.sentences:RepeatedSentences"),
        Entry("substrings", f"{_OPTIONS}:Substrings", f"{_CODE}.substrings:RepeatedSubstrings"),
    ),
    base="pipeline.passages.base:PassageFinder",
)
