"""Cleaners: a column of text in, a column of text out. What they do to a text is said in its own words in each file.

A new cleaner is a file beside `unicode.py`, a section in `section.py`, and a line in both tables.
"""

from __future__ import annotations

from pipeline.core.registry import Registry

CLEANERS = Registry("cleaner", {"unicode": "pipeline.cleaners.unicode:Unicode"})
