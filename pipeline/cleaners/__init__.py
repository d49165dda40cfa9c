"""Cleaners transform a column of text into a column of text. The docstring of each file lists its rules.

To add a cleaner, write a file like `unicode.py`, put its section into `section.py`, and add a line to `CLEANERS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.core.registry import Entry, Registry

if TYPE_CHECKING:
    from pipeline.cleaners.base import Cleaner

_SECTION, _LINES = "pipeline.cleaners.section", "pipeline.cleaners.lines"

CLEANERS: Registry[Cleaner] = Registry(
    "cleaner",
    (
        Entry("unicode", "pipeline.cleaners.section:Unicode", "pipeline.cleaners.unicode:Unicode"),
        Entry("mojibake", f"{_SECTION}:Mojibake", "pipeline.cleaners.mojibake:Mojibake"),
        Entry("chinese", f"{_SECTION}:Chinese", "pipeline.cleaners.chinese:Chinese"),
        Entry("width", f"{_SECTION}:Width", "pipeline.cleaners.width:Width"),
        Entry("c4_lines", f"{_SECTION}:C4Lines", f"{_LINES}:C4Lines"),
        Entry("refinedweb_lines", f"{_SECTION}:RefinedWebLines", f"{_LINES}:RefinedWebLines"),
        Entry("pii", "pipeline.pii.section:Pii", "pipeline.cleaners.pii:PersonalData"),
    ),
    base="pipeline.cleaners.base:Cleaner",
    functions=True,
)
