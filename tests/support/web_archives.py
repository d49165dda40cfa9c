"""Small web archives and pages, made here: English, Chinese and traditional Chinese."""

from __future__ import annotations

import gzip
from collections.abc import Sequence

SENTENCES = {
    "en": [
        "The ferry leaves the old harbour at seven and reaches the island before the fog has lifted.",
        "Nobody had repaired the lighthouse since the storm, so its keeper rowed out every evening with a lamp.",
        "When the letter finally arrived, the whole village gathered at the bridge to hear it read aloud.",
    ],
    "zh": [
        "清晨七点，渡船离开老港口，在雾散之前到达小岛，船上的人都在谈论昨夜的风暴和今年的收成。",
        "自从那场风暴以后，没有人修理过灯塔，所以守塔人每天傍晚都提着一盏灯划船出去照亮航道。",
        "当那封信终于寄到的时候，全村的人都聚集在桥头，听老师把它从头到尾大声地念了一遍。",
    ],
    "zh-Hant": [
        "清晨七點，渡船離開老港口，在霧散之前到達小島，船上的人都在談論昨夜的風暴和今年的收成。",
        "自從那場風暴以後，沒有人修理過燈塔，所以守塔人每天傍晚都提著一盞燈劃船出去照亮航道。",
        "當那封信終於寄到的時候，全村的人都聚集在橋頭，聽老師把它從頭到尾大聲地念了一遍。",
    ],
}  # fmt: skip
MENU = {"en": ["Home", "About", "Contact"], "zh": ["首页", "关于", "联系"], "zh-Hant": ["首頁", "關於", "聯絡"]}


def page(language: str = "en", *, meta: str = "", number: int = 0) -> str:
    """A page with a menu and an article of three paragraphs; `number` makes pages differ."""
    menu = "".join(f'<li><a href="/{at}">{word}</a></li>' for at, word in enumerate(MENU[language]))
    charset = f'<meta charset="{meta}">' if meta else ""
    body = "".join(f"<p>{sentence}</p>" for sentence in SENTENCES[language])
    return (
        f"<!DOCTYPE html><html><head>{charset}<title>{language} {number}</title></head><body><nav><ul>{menu}</ul></nav>"
        f"<main><article><h1>{language} {number}</h1>{body}</article></main><footer>2026</footer></body></html>"
    )


def http(body: bytes, *, status: str = "200 OK", headers: str = "Content-Type: text/html; charset=utf-8") -> bytes:
    """A stored response."""
    fields = f"{headers}\r\n" if headers else ""
    return f"HTTP/1.1 {status}\r\n{fields}\r\n".encode() + body


def record(
    body: bytes,
    *,
    kind: str = "response",
    url: str = "https://example.org/",
    extra: str = "",
    length: int | None = None,
) -> bytes:
    """A WARC record."""
    size = len(body) if length is None else length
    kind_of_body = {"response": "application/http; msgtype=response", "conversion": "text/plain"}.get(kind, "text/html")
    header = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{url}>\r\nWARC-Date: 2026-11-29T12:00:00Z\r\n"
        f"WARC-Target-URI: {url}\r\nContent-Type: {kind_of_body}\r\n{extra}Content-Length: {size}\r\n\r\n"
    )
    return header.encode() + body + b"\r\n\r\n"


def pages(count: int) -> list[bytes]:
    """Records of pages in three languages, with different URLs."""
    languages = list(SENTENCES)
    return [
        record(http(page(languages[number % 3], number=number).encode()), url=f"https://example.org/{number}")
        for number in range(count)
    ]


def members(records: Sequence[bytes]) -> bytes:
    """A gzip member for each record, as crawlers write."""
    return b"".join(gzip.compress(data, mtime=0) for data in records)


def offsets(records: Sequence[bytes]) -> list[int]:
    """Where each member of `members` begins."""
    sizes = [len(gzip.compress(data, mtime=0)) for data in records]
    return [sum(sizes[:number]) for number in range(len(sizes))]
