"""Dumps of Wikipedia and other wikis of MediaWiki: XML, plain or compressed, with one stream or many.

An article of namespace 0 is a document, in plain text (`wikitext.py`); redirects, other namespaces and pages that are
no wikitext are skipped and counted. Of several revisions the last one counts. The position of a page is the offset of
its bzip2 stream plus the number of pages before it there, so a dump of many streams is read on from the middle.
Cost: bzip2 sets the pace; see tests/benchmarks/bench_wikitext.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple
from urllib.parse import quote

from pipeline.core.files import RawFile, open_bytes
from pipeline.readers.base import (
    RAW_BYTES,
    AnyRecord,
    BadRecord,
    Reader,
    Record,
    Skipped,
    encode_text,
    invalid_utf8,
    too_large,
)
from pipeline.readers.member_stream import MemberStream, start_at
from pipeline.readers.wikitext import WikiText

PAGE, PAGE_END = b"<page>", b"</page>"
PAGE_START = re.compile(rb"\s{0,100}(?:<page>|<mediawiki\b)")
SITE_BYTES = 1 << 20
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

    def read(self, file: RawFile, *, after: int = -1) -> Iterator[AnyRecord]:
        with open_bytes(file.path) as source:
            site = _read_site(source, self.options["variant"])
            stream = MemberStream(source, start_at(source, after, PAGE_START), PAGE_START)
            for record in self._pages(stream, site):
                if record.position > after:
                    yield record

    def _pages(self, stream: MemberStream, site: _Site) -> Iterator[AnyRecord]:
        while True:
            stream.skip_to(PAGE)
            if stream.peek(1):
                yield self._page(stream, site)
            elif stream.damage:
                yield _damaged(stream, stream.position_of_damage(), b"")
            elif not stream.next_member() and not stream.damage:
                return

    def _page(self, stream: MemberStream, site: _Site) -> AnyRecord:
        position = stream.begin_record()
        page = stream.read_through(PAGE_END, self.max_record_bytes)
        if page.endswith(PAGE_END) and len(page) <= self.max_record_bytes:
            return _document(position, page, site)
        if len(page) > self.max_record_bytes:
            size = len(page) + stream.skip_to(PAGE_END) + len(PAGE_END)
            return too_large(position, size, self.max_record_bytes, page)
        if stream.damage and stream.damaged_at == stream.member:
            return _damaged(stream, position, page)
        return BadRecord(position, "truncated", f"the page ends after {len(page):,} bytes", page[:RAW_BYTES])


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
