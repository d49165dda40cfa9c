"""A small valid file for every reader of web pages, archives and dumps, and how many records a copy of it may hold.

Counting follows the formats and shares no code with the readers. A damaged body is still a record, and so is a page
that no longer counts as a document: the reader has to yield something for it, if only the reason why it is skipped.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Callable, Sequence
from typing import Any
from xml.sax.saxutils import escape

from tests.support.web_archives import SENTENCES, http, members, page, pages, record

LANGUAGES = ("en", "zh", "zh-Hant")
PAGES: dict[str, Any] = {"extract": {"whole": {}}, "max_page_bytes": 1 << 20, "max_page_seconds": 5.0}
MAIN_TEXT: dict[str, Any] = {**PAGES, "extract": {"trafilatura": {}}}
WIKI: dict[str, Any] = {"variant": "first"}
MAGIC = {"gzip": b"\x1f\x8b", "bz2": b"BZh", "lzma": b"\xfd7zXZ\x00"}  # by the module of the decompressor
ARC_ABOUT = b"1 0 fuzz\nURL IP-address Archive-date Content-type Archive-length\n"


def archive(documents: int) -> list[bytes]:
    """Responses: plain, with chunks and content encodings, and in GBK; one in four is a request instead."""
    records = pages(documents)
    for number in range(0, documents, 4):
        records[number] = record(b"GET / HTTP/1.1\r\n\r\n", kind="request", url=f"https://example.org/{number}")
    for number in range(1, documents, 4):
        body = page("zh", meta="gbk", number=number).encode("gbk")
        records[number] = record(http(body, headers="Content-Type: text/html"), url=f"https://example.org/{number}")
    for number in range(2, documents, 4):
        body = gzip.compress(page("en", number=number).encode(), mtime=0)
        chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        headers = "Content-Type: text/html\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked"
        records[number] = record(http(chunked, headers=headers), url=f"https://example.org/{number}")
    return records


def extracted(documents: int) -> list[bytes]:
    """Records of text, as in WET files."""
    texts = ["\n".join(SENTENCES[LANGUAGES[number % 3]]) + f"\n{number}" for number in range(documents)]
    return [
        record(text.encode(), kind="conversion", url=f"https://example.org/{number}")
        for number, text in enumerate(texts)
    ]


def arc(documents: int) -> list[bytes]:
    """The record that describes an ARC file, and pages."""
    records = [b"filedesc://a.arc 0.0.0.0 20260101000000 text/plain %d\n" % len(ARC_ABOUT) + ARC_ABOUT + b"\n"]
    for number in range(documents - 1):
        body = http(page(LANGUAGES[number % 3], number=number).encode())
        line = b"http://example.org/%d 1.2.3.4 20260102030405 text/html %d\n" % (number, len(body))
        records.append(line + body + b"\n")
    return records


def dump(documents: int) -> list[bytes]:
    """The head of a dump, pages, and its end."""
    parts = [
        '<mediawiki xml:lang="zh"><siteinfo><base>https://zh.example.org/wiki/Main</base><namespaces>'
        '<namespace key="6" case="first-letter">檔案</namespace></namespaces></siteinfo>\n'
    ]
    for number in range(documents):
        text = f"'''第{number}页'''是一篇[[文章|关于渡船的文章]]。\n\n== 历史 ==\nThe ferry & its harbour, {number}.\n"
        redirect = '\n    <redirect title="渡船" />' if number % 6 == 5 else ""
        parts.append(
            f"  <page>\n    <title>标题 {number}</title>\n    <ns>{int(number % 6 == 4)}</ns>\n    <id>{number}</id>"
            f"{redirect}\n    <revision>\n      <model>wikitext</model>\n"
            f'      <text xml:space="preserve">{escape(text)}</text>\n    </revision>\n  </page>\n'
        )
    return [part.encode() for part in (*parts, "</mediawiki>\n")]


def streams(parts: Sequence[bytes], each: int = 4) -> bytes:
    """Streams of bzip2: the first, then `each` parts, and the last."""
    inner = [b"".join(parts[at : min(at + each, len(parts) - 1)]) for at in range(1, len(parts) - 1, each)]
    return b"".join(map(bz2.compress, (parts[0], *inner, parts[-1])))


def inflated(count: Callable[[bytes], int], decompress: Callable[[bytes], bytes]) -> Callable[[bytes], int]:
    """Counts what is in a compressed file; compression is recognized by the first bytes, as readers do. An error of
    the decompressor is a ValueError."""
    magic = MAGIC[decompress.__module__]

    def counted(data: bytes) -> int:
        if not data.startswith(magic):
            return count(data)
        try:
            return count(decompress(data))
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise ValueError(str(error)) from error

    return counted


def count_warc(data: bytes) -> int:
    """Walk from record to record by their lengths."""
    return _walk(data, re.compile(rb"WARC/\d.*?\r?\n\r?\n", re.S), _warc_length)


def count_arc(data: bytes) -> int:
    return _walk(data, re.compile(rb"[^\n]+\n"), lambda line: int(line.split()[-1]))


def _warc_length(header: bytes) -> int:
    length = re.search(rb"^[ \t]*content-length[ \t]*:[ \t]*(\d+)[ \t]*\r?$", header, re.I | re.M)
    if length is None:
        raise ValueError("a record without a length")
    return int(length[1])


def _walk(data: bytes, header: re.Pattern[bytes], length_of: Callable[[bytes], int]) -> int:
    records, at = 0, 0
    while blank := re.compile(rb"[\r\n\t ]*").match(data, at):
        at = blank.end()
        if at == len(data):
            return records
        found = header.match(data, at)
        if found is None:
            raise ValueError(f"no record begins at {at}")
        at = found.end() + length_of(found[0])
        if at > len(data):
            raise ValueError("the last record is cut")
        records += 1
    raise AssertionError


def count_pages(data: bytes) -> int:
    """The pages of a dump: what is in a text is escaped, so the tag occurs nowhere else."""
    return data.count(b"<page>")


def count_file(data: bytes) -> int:
    """A file of HTML is one page, whatever is in it."""
    return 1


FILES: dict[str, tuple[str, Callable[[int], bytes], dict[str, Any], Callable[[bytes], int] | None]] = {
    "a.warc": ("warc", lambda n: b"".join(archive(n)), PAGES, count_warc),
    "a.warc.gz": ("warc", lambda n: members(archive(n)), PAGES, inflated(count_warc, gzip.decompress)),
    "a.wet": ("warc", lambda n: b"".join(extracted(n)), PAGES, count_warc),
    "a.wet.gz": ("warc", lambda n: members(extracted(n)), PAGES, inflated(count_warc, gzip.decompress)),
    "a.arc": ("warc", lambda n: b"".join(arc(n)), PAGES, count_arc),
    "a.arc.gz": ("warc", lambda n: members(arc(n)), PAGES, inflated(count_arc, gzip.decompress)),
    "wiki.xml": ("wikipedia", lambda n: b"".join(dump(n)), WIKI, count_pages),
    "wiki.xml.bz2": ("wikipedia", lambda n: streams(dump(n)), WIKI, inflated(count_pages, bz2.decompress)),
    "a.html": ("html", lambda n: page("zh").encode(), MAIN_TEXT, count_file),
    "gbk.html": ("html", lambda n: page("zh", meta="gbk").encode("gbk"), PAGES, count_file),
    "a.html.gz": ("html", lambda n: gzip.compress(page("en").encode(), mtime=0), PAGES, None),
}  # fmt: skip
