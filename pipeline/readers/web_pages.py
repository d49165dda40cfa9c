"""A page of a source becomes a record: a document, a bad record, or one that is skipped with a reason."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.extract.pages import PageExtractor, Unsuitable
from pipeline.extract.process import PageFailure
from pipeline.readers.base import RAW_BYTES, AnyRecord, BadRecord, Record, Skipped
from pipeline.readers.section import SourceParams


class PageReader:
    """Extracts the pages of one source."""

    def __init__(self, options: SourceParams) -> None:
        self.max_bytes: int = options["max_page_bytes"]
        self._pages = PageExtractor(
            options["extract"], max_bytes=self.max_bytes, cpu_seconds=options["max_page_seconds"]
        )

    def record(
        self,
        position: int,
        data: bytes,
        *,
        content_type: str = "",
        source_id: str | None = None,
        url: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> AnyRecord:
        """The record of a page."""
        page = self._pages.extract(data, content_type)
        if isinstance(page, PageFailure):
            return BadRecord(position, page.reason, page.detail, data[:RAW_BYTES])
        if isinstance(page, Unsuitable):
            return Skipped(position, page.reason)
        fields = {**(metadata or {}), "charset": page.charset}
        return Record(position, page.text.encode(), source_id, url, metadata=fields)
