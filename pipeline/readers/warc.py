"""WARC, WET and ARC: web pages become their main text, and text that was extracted before (WET) is taken as it is.

A document is a response with status 200 and a page, a resource that is a page, or a conversion. Everything else is
skipped and counted by reason: requests, other statuses, images, pages without main text. The URL goes to `url`, the id
of the record to `source_id`. `metadata` holds date, status, charset and `position`: the offset of the record in the
file or, in a gzip member of many records, that of the member plus the number of records before it.
Cost: that of the extractor; without it 100 MB of archive per CPU-second.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline.core.errors import UserError
from pipeline.core.files import RawFile
from pipeline.extract import EXTRACTORS
from pipeline.extract.base import check_installed
from pipeline.readers.archive_records import ArchiveRecord, Fields, archive_records, record_spans
from pipeline.readers.base import AnyRecord, BadRecord, FileSpan, Reader, Record, Skipped, encode_text, invalid_utf8
from pipeline.readers.http_message import HttpHeader, decode_body, media_type, parse_header
from pipeline.readers.section import Source, SourceParams
from pipeline.readers.sections.web import Pages

if TYPE_CHECKING:
    from pipeline.readers.web_pages import PageReader

HTML_TYPES = ("text/html", "application/xhtml+xml")
TYPES = ("request", "metadata", "revisit", "warcinfo", "continuation", "filedesc")


class WebReader(Reader):
    """What readers of pages have: the check of the libraries, and the extractor, which is made for the first page."""

    _pages: PageReader | None = None

    @classmethod
    def text_problem(cls, source: Source, files: Sequence[RawFile]) -> str | None:
        """Check that the libraries of the extractor are installed."""
        if not isinstance(source, Pages):
            return None
        try:
            check_installed(EXTRACTORS.section(source.extract.name))
        except UserError as error:
            return str(error)
        return None

    @property
    def pages(self) -> PageReader:
        """The extractor of the source.

        Raises: UserError when a library is missing.
        """
        if self._pages is None:
            # imported late: listing files and checking a configuration must not load numba
            from pipeline.readers.web_pages import PageReader

            check_installed(EXTRACTORS.section(_name(self.options)))
            self._pages = PageReader(self.options)
        return self._pages


class Warc(WebReader):
    """Reads a document from each record that holds a page or text."""

    format = "a web archive (WARC or ARC)"
    magic = (b"WARC/1.", b"WARC/0.", b"filedesc://")

    def divide(self, file: RawFile, span_bytes: int) -> Sequence[FileSpan]:
        return record_spans(file, span_bytes)

    def read(self, file: RawFile, *, after: int = -1) -> Iterator[AnyRecord]:
        return self.read_span(file, FileSpan(0, sys.maxsize), after=after)

    def read_span(self, file: RawFile, span: FileSpan, *, after: int = -1) -> Iterator[AnyRecord]:
        records = archive_records(
            file.path, start=span.start, after=after, limit=self.max_record_bytes, skip_reason=skip_reason
        )
        for record in records:
            if record.position >= span.end:
                return
            yield self._convert(record) if isinstance(record, ArchiveRecord) else record

    def _convert(self, record: ArchiveRecord) -> AnyRecord:
        fields = record.fields
        if fields.get("warc-type") == "conversion":
            return _text_record(record)
        header = parse_header(record.body) if fields.get("warc-type") == "response" else None
        content_type = (header.fields if header else fields).get("content-type", "")
        data = record.body
        if header:
            data = decode_body(data[header.size :], header.fields, limit=self.pages.max_bytes)
        if data.strip() and not media_type(content_type):
            from pipeline.extract.pages import looks_like_html

            if not looks_like_html(data):
                return Skipped(record.position, "not_html")
        return self.pages.record(
            record.position, data, content_type=content_type, source_id=fields.get("warc-record-id"),
            url=_url(fields), metadata=_metadata(record, header),
        )  # fmt: skip


def skip_reason(fields: Fields, head: bytes) -> str | None:
    """Why a record is no page and no text, from its header and the beginning of its body; None if it may be one."""
    kind = fields.get("warc-type", "")
    if kind == "conversion":
        return None if media_type(fields.get("content-type", "text/plain")) == "text/plain" else "not_text"
    if kind == "resource":
        return _type_problem(fields.get("content-type", ""))
    if kind != "response":
        return f"warc_{kind}" if kind in TYPES else "warc_other"
    header = parse_header(head)
    if header is None:
        return "not_http"
    if header.status != 200:
        return f"status_{header.status}"
    return _type_problem(header.fields.get("content-type", ""))


def _type_problem(content_type: str) -> str | None:
    kind = media_type(content_type)
    return None if not kind or kind in HTML_TYPES else "not_html"


def _text_record(record: ArchiveRecord) -> Record | BadRecord | Skipped:
    if not record.body.strip():
        return Skipped(record.position, "empty_body")
    try:
        text = encode_text(record.position, record.body.decode().strip())
    except UnicodeDecodeError as error:
        return invalid_utf8(record.position, record.body, error)
    if isinstance(text, BadRecord):
        return text
    source_id = record.fields.get("warc-record-id")
    return Record(record.position, text, source_id, _url(record.fields), metadata=_metadata(record, None))


def _url(fields: Fields) -> str | None:
    """The URL; some programs write it in angle brackets."""
    return fields.get("warc-target-uri", "").strip("<>") or None


def _metadata(record: ArchiveRecord, header: HttpHeader | None) -> dict[str, str]:
    fields = record.fields
    metadata = {
        "date": fields.get("warc-date", ""), "status": str(header.status) if header else "",
        "truncated": fields.get("warc-truncated", ""), "identified_language":
        fields.get("warc-identified-content-language", ""), "position": str(record.position),
    }  # fmt: skip
    return {key: value for key, value in metadata.items() if value}


def _name(options: SourceParams) -> str:
    """The name of the extractor in the params of a source."""
    extract = options["extract"]
    return extract if isinstance(extract, str) else str(next(iter(extract)))
