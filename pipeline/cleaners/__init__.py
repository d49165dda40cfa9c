"""Cleaners: a column of text in, a column of text out. What they do to a text is said in its own words in each file.

A new cleaner is a file beside `unicode.py` with its section and its class, and a line here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.core.registry import Entry, Registry

if TYPE_CHECKING:
    from pipeline.cleaners.base import Cleaner

CLEANERS: Registry[Cleaner] = Registry(
    "cleaner",
    (Entry("unicode", "pipeline.cleaners.section:Unicode", "pipeline.cleaners.unicode:Unicode"),),
    base="pipeline.cleaners.base:Cleaner",
    functions=True,
)
