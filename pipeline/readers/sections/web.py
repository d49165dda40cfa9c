"""The sections of sources of web pages and of Wikipedia dumps. Imports only pydantic."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from pipeline.core.config import Component, component
from pipeline.extract import EXTRACTORS
from pipeline.readers.section import FileSource

if TYPE_CHECKING:
    AnyExtractor = Component
else:
    AnyExtractor = component(EXTRACTORS)


class Pages(FileSource):
    """What sources of pages have: how main text is extracted, and what a page may cost.

    A page of more bytes, or whose extraction takes more CPU time, is quarantined.
    """

    extract: AnyExtractor = Field("trafilatura", validate_default=True)
    max_page_bytes: int = Field(4 << 20, ge=1 << 10, le=64 << 20)
    max_page_seconds: float = Field(60, ge=1, le=3600)


class Warc(Pages):
    """WARC, WET and ARC files."""

    REVISION: ClassVar[int] = 1  # raised when a record becomes something else, so that earlier results become stale


class HtmlFiles(Pages):
    """Files of HTML, a page each."""


class Wikipedia(FileSource):
    """XML dumps of MediaWiki. `variant`: which alternative of text like `-{zh-hans:…; zh-hant:…}-` is taken."""

    variant: Literal["zh-hans", "zh-hant", "zh-cn", "zh-sg", "zh-tw", "zh-hk", "zh-mo", "first"] = "first"
