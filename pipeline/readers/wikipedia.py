"""Dumps of Wikipedia and other wikis of MediaWiki: XML, plain or compressed, with one stream or many.

An article of namespace 0 is a document, in plain text (`wikitext.py`); redirects, other namespaces and pages that are
no wikitext are skipped and counted. Of several revisions the last one counts. The position of a page is the offset of
its bzip2 stream plus the number of pages before it there, so a dump of many streams is read on from the middle.
Cost: bzip2 sets the pace; see tests/benchmarks/bench_wikitext.py.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple
from urllib.parse import quote

from pipeline.core.files import RawFile, open_bytes
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
    too_large,
)
from pipeline.readers.member_borders import MAX_POSITION, find_bytes, next_member, spans_between
from pipeline.readers.member_stream import MemberStream, start_at
from pipeline.readers.streams import codec_of
from pipeline.readers.wikitext import WikiText

PAGE, PAGE_END = b"<page>", b"</page>"
DUMP_END = b"</mediawiki"
AROUND_PAGES = (b"<mediawiki", DUMP_END, b"<?xml", b"\xef\xbb\xbf")
PAGE_START = re.compile(rb"\s{0,100}(?:<page>|<mediawiki\b)")
SITE_BYTES = 1 << 20
USUAL_RATIO = 4  # of text to its compressed bytes
NAMESPACE = re.compile(r'<namespace key="(-2|6|14)"[^>]{0,200}>([^<]{1,200})</namespace>')
LANGUAGE = re.compile(r'<mediawiki\b[^>]{0,2000}\bxml:lang="([A-Za-z-]{2,20})"')
BASE = re.compile(r"<base>([^<]{1,1000})</base>")
FIELD = {name: re.compile(rf"<{name}>([^<]{{0,1000}})</{name}>") for name in ("title", "ns", "id", "model")}


class _Site(NamedTuple):
    """What the head of a dump says of its wiki."""

    wikitext: WikiText
    url: str
    language: str | None


class Wikipedia(Reader):
    """Reads a document from each article."""

    isolation = "processes"
    format = "a dump of MediaWiki"
    magic = (b"<mediawiki",)

    def divide(self, file: RawFile, span_bytes: int) -> Sequence[FileSpan]:
        return _page_spans(file, span_bytes)

    def read(self, file: RawFile, *, after: int = -1) -> Iterator[AnyRecord]:
        return self.read_span(file, FileSpan(0, sys.maxsize), after=after)

    def read_span(self, file: RawFile, span: FileSpan, *, after: int = -1) -> Iterator[AnyRecord]:
        with open_bytes(file.path) as source:
            site = _read_site(source, self.options["variant"])
            stream = MemberStream(source, max(span.start, start_at(source, after, PAGE_START)), PAGE_START)
            for record in self._pages(stream, site, span.end):
                if record.position > after:
                    yield record

    def _pages(self, stream: MemberStream, site: _Site, end: int) -> Iterator[AnyRecord]:
        """The pages that begin before `end`. A dump that lacks its last line was cut: whole pages may be missing."""
        is_open = False
        while True:
            stream.skip_blank()
            head = stream.peek(len(DUMP_END))
            is_open = head != DUMP_END if head else is_open
            if head.startswith(AROUND_PAGES):
                stream.skip_to(PAGE)
            if first := stream.peek(len(PAGE)):
                position = stream.begin_record()
                if position >= end:
                    return
                record = self._page(stream, site, position) if first == PAGE else _no_page(stream, position)
                is_open = not isinstance(record, BadRecord)  # what it says is enough
                yield record
            elif stream.damage:
                position = stream.position_of_damage()
                if position >= end:
                    return
                yield _damaged(stream, position, b"")
                is_open = False
            elif not stream.next_member() and not stream.damage:
                if is_open and end >= MAX_POSITION:
                    yield BadRecord(stream.begin_record(), "truncated", "the dump does not end with </mediawiki>", b"")
                return

    def _page(self, stream: MemberStream, site: _Site, position: int) -> AnyRecord:
        page = stream.read_through(PAGE_END, self.max_record_bytes)
        if (inner := page.find(PAGE, 1)) >= 0:  # escaped in a text, so it is the next page, and this one has no end
            stream.unread(page[inner:])
            return BadRecord(position, "truncated", f"the next page begins after {inner:,} bytes", page[:RAW_BYTES])
        if page.endswith(PAGE_END) and len(page) <= self.max_record_bytes:
            return _document(position, page, site)
        if len(page) > self.max_record_bytes:
            size = len(page) + stream.skip_to(PAGE_END) + stream.skip(len(PAGE_END))
            return too_large(position, size, self.max_record_bytes, page)
        if stream.damage and stream.damaged_at == stream.member:
            return _damaged(stream, position, page)
        return BadRecord(position, "truncated", f"the page ends after {len(page):,} bytes", page[:RAW_BYTES])


def _no_page(stream: MemberStream, position: int) -> BadRecord:
    raw = stream.peek(RAW_BYTES)
    return BadRecord(position, "no_record", f"{stream.skip_to(PAGE):,} bytes between pages are no page", raw)


def _page_spans(file: RawFile, span_bytes: int) -> list[FileSpan]:
    """Spans that begin at a page of a plain dump, or at a bzip2 stream that begins with a page; else none."""
    borders = [0]
    with open_bytes(file.path) as source:
        codec = codec_of(source.read(10))
        distance = span_bytes if codec == "plain" else max(1, span_bytes // USUAL_RATIO)
        while codec in ("plain", "bzip2"):
            offset = next_page(source, borders[-1] + distance, codec)
            if offset is None:
                break
            borders.append(offset)
    return spans_between(borders)


def next_page(source: BinaryIO, start: int, codec: str) -> int | None:
    """Where, from `start` on, reading may begin with a page."""
    if codec == "plain":
        return find_bytes(source, start, PAGE)
    offset = next_member(source, start, codec, PAGE_START)
    while offset is not None and not MemberStream(source, offset, PAGE_START).begins_record():
        offset = next_member(source, offset + 1, codec, PAGE_START)
    return offset


def _read_site(source: BinaryIO, variant: str) -> _Site:
    """Read what precedes the first page."""
    stream = MemberStream(source, 0, PAGE_START)
    head = stream.read_through(PAGE, SITE_BYTES).decode("utf-8", "replace")
    names = frozenset(_unescape(match[2]).replace(" ", "_") for match in NAMESPACE.finditer(head))
    base, language = BASE.search(head), LANGUAGE.search(head)
    url = base[1].rpartition("/")[0] + "/" if base else ""
    return _Site(WikiText(names, variant=variant), url, language[1] if language else None)


def _document(position: int, data: bytes, site: _Site) -> AnyRecord:
    try:
        page = data.decode()
    except UnicodeDecodeError as error:
        return invalid_utf8(position, data, error)
    fields = {name: match[1] if (match := pattern.search(page)) else "" for name, pattern in FIELD.items()}
    if fields["ns"] not in ("0", ""):
        return Skipped(position, "other_namespace")
    if "<redirect" in page[: page.find("<revision") + 1]:
        return Skipped(position, "redirect")
    if fields["model"] not in ("wikitext", ""):
        return Skipped(position, "no_wikitext")
    text = encode_text(position, site.wikitext.convert(_unescape(_last_text(page))))
    if isinstance(text, BadRecord):
        return Skipped(position, "no_main_text") if text.reason == "empty_text" else text._replace(raw=data[:RAW_BYTES])
    title = _unescape(fields["title"])
    url = site.url + quote(title.replace(" ", "_"), safe="/:(),!'*~") if site.url else None
    metadata = {"title": title, "position": str(position)}
    return Record(position, text, fields["id"] or None, url, site.language, metadata)


def _last_text(page: str) -> str:
    """The content of the last `<text …>`; empty if there is none."""
    start = page.rfind("<text")
    begin = page.find(">", start) + 1 if start >= 0 else 0
    end = page.find("</text>", begin)
    return page[begin:end] if begin and end >= 0 else ""


def _unescape(text: str) -> str:
    """Undo the escapes of XML, and none of HTML: wikitext has its own."""
    if "&" not in text:
        return text
    return (
        text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", '"')
        .replace("&#039;", "'")
        .replace("&amp;", "&")
    )


def _damaged(stream: MemberStream, position: int, raw: bytes) -> BadRecord:
    """The bad record for damage to the file, after which reading goes on where it can."""
    assert stream.damage is not None
    reason, detail = stream.damage.reason, stream.damage.detail
    lost = stream.recover()
    return BadRecord(position, reason, f"{detail}; {lost:,} bytes of the file cannot be read", raw[:RAW_BYTES])
