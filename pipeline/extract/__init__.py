"""Main text of web pages: bytes → text (`charset.py`), limits (`limits.py`), then an extractor in a process of its own.

To add an extractor, write a file like `whole.py`, put its section into `section.py`, and add a line to `EXTRACTORS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.core.registry import Entry, Registry

if TYPE_CHECKING:
    from pipeline.extract.base import Extractor

_OPTIONS, _CODE = "pipeline.extract.section", "pipeline.extract"

EXTRACTORS: Registry[Extractor[Any]] = Registry(
    "extractor",
    (
        Entry("trafilatura", f"{_OPTIONS}:Trafilatura", f"{_CODE}.by_trafilatura:Trafilatura"),
        Entry("resiliparse", f"{_OPTIONS}:Resiliparse", f"{_CODE}.by_resiliparse:Resiliparse"),
        Entry("whole", f"{_OPTIONS}:Whole", f"{_CODE}.whole:Whole"),
    ),
    base="pipeline.extract.base:Extractor",
)
