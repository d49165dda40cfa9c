"""WARC, WET and ARC: web pages become their main text, and text that was extracted before (WET) is taken as it is.

A document is a response with status 200 and a page, a resource that is a page, or a conversion. Everything else is
skipped and counted by reason: requests, other statuses, images, pages without main text. A body that is cut within its
chunks or content encoding is a bad record, unless the crawler says that it cut it. The URL goes to `url`, the id
of the record to `source_id`. `metadata` holds date, status, charset and `position`: the offset of the record in the
file or, in a gzip member of many records, that of the member plus the number of records before it.
Cost: that of the extractor; without it 100 MB of archive per CPU-second.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pipeline.core.errors import UserError
from pipeline.core.files import RawFile
from pipeline.extract import EXTRACTORS
from pipeline.extract.base import check_installed
from pipeline.readers.archive_records import ArchiveRecord, Fields, archive_records, record_spans
from pipeline.readers.base import (
    RAW_BYTES,
    AnyRecord,
    BadRecord,
    FileSpan,
    Reader,
    Record,
    Skipped,
    encode_text,
    invalid_utf8,
)
from pipeline.readers.http_message import Body, HttpHeader, decode_body, media_type, parse_header
from pipeline.readers.section import Source, SourceParams
from pipeline.readers.sections.web import Pages

if TYPE_CHECKING:
    from pipeline.readers.web_pages import PageReader

HTML_TYPES = ("text/html", "application/xhtml+xml")
# of WARC-Truncated (ISO 28500), and ours; whatever else a file writes there is counted together
MARKS = ("length", "time", "disconnect", "unspecified", "content_length")
CONTENT_LENGTH = "content_length"  # of the HTTP header, which promises more than there is
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

    def __init__(self, options: SourceParams, *, max_record_bytes: int) -> None:
        super().__init__(options, max_record_bytes=max_record_bytes)
        self._truncated: Counter[str] = Counter()

    @property
    def truncated(self) -> Mapping[str, int]:
        return self._truncated

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
        result = self._document(record)
        if isinstance(result, Record) and (mark := (result.metadata or {}).get("truncated")):
            self._truncated[mark if mark in MARKS else "other"] += 1
        return result

    def _document(self, record: ArchiveRecord) -> AnyRecord:
        fields = record.fields
        if fields.get("warc-type") == "conversion":
            return _text_record(record)
        header = parse_header(record.body) if fields.get("warc-type") == "response" else None
        content_type = (header.fields if header else fields).get("content-type", "")
        body = Body(record.body)
        if header:
            body = decode_body(record.body[header.size :], header.fields, limit=self.pages.max_bytes)
        if bad := _bad_body(record, body):
            return bad
        data = body.data
        if data.strip() and not media_type(content_type):
            from pipeline.extract.pages import looks_like_html

            if not looks_like_html(data):
                return Skipped(record.position, "not_html")
        return self.pages.record(
            record.position, data, content_type=content_type, source_id=fields.get("warc-record-id"),
            url=_url(fields), metadata=_metadata(record, header, body),
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
    return Record(record.position, text, source_id, _url(record.fields), metadata=_metadata(record))


def _url(fields: Fields) -> str | None:
    """The URL; some programs write it in angle brackets."""
    return fields.get("warc-target-uri", "").strip("<>") or None


def _bad_body(record: ArchiveRecord, body: Body) -> BadRecord | None:
    """The bad record for a body that is less than the record should hold. What the crawler cut and says so is not."""
    damage = body.damage
    if damage is None or (damage.reason == "truncated" and record.fields.get("warc-truncated")):
        return None
    return BadRecord(record.position, damage.reason, damage.detail, record.body[:RAW_BYTES])


def _metadata(record: ArchiveRecord, header: HttpHeader | None = None, body: Body | None = None) -> dict[str, str]:
    fields = record.fields
    length_mark = CONTENT_LENGTH if body and body.missing else ""
    metadata = {
        "date": fields.get("warc-date", ""), "status": str(header.status) if header else "",
        "truncated": fields.get("warc-truncated", "") or length_mark, "identified_language":
        fields.get("warc-identified-content-language", ""), "position": str(record.position),
    }  # fmt: skip
    return {key: value for key, value in metadata.items() if value}


def _name(options: SourceParams) -> str:
    """The name of the extractor in the params of a source."""
    extract = options["extract"]
    return extract if isinstance(extract, str) else str(next(iter(extract)))
