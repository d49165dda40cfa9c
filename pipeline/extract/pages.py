"""A page, as bytes, becomes text: charset, limits, extraction, and the form of the text. The recipe of this folder."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from pipeline.extract.charset import decode_page
from pipeline.extract.limits import exceeded_limit
from pipeline.extract.process import ExtractorProcess, PageFailure

# characters that no text holds, and that some parsers stop at; lone surrogates cannot be encoded
CONTROL = re.compile("[\0-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
HTML_START = re.compile(rb"<(?:!doctype|html|head|body|title|meta|div|p|table|h[1-6]|a|br|span|article|script)\b", re.I)
SNIFFED_BYTES = 1445  # as browsers do
SIGNATURES = (
    b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"%PDF-", b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"Rar!", b"7z\xbc\xaf",
    b"\x7fELF", b"RIFF", b"OggS", b"ID3", b"\x00\x00\x01\x00", b"\xca\xfe\xba\xbe", b"wOFF", b"wOF2", b"MZ\x90",
)  # fmt: skip


class Page(NamedTuple):
    """The text of a page and the codec of its bytes."""

    text: str
    charset: str


class Unsuitable(NamedTuple):
    """A page that holds no text to begin with: it is skipped and counted."""

    reason: str


class PageExtractor:
    """Extracts pages with the component of a source, within its limits of bytes and CPU time."""

    def __init__(self, component: Any, *, max_bytes: int, cpu_seconds: float) -> None:
        self.max_bytes = max_bytes
        name, options = (component, {}) if isinstance(component, str) else next(iter(component.items()))
        self._process = ExtractorProcess({"name": name, "options": options}, cpu_seconds=cpu_seconds)

    def extract(self, data: bytes, content_type: str = "") -> Page | PageFailure | Unsuitable:
        """The text of a page. `content_type` is that of its HTTP header, if there is one."""
        if len(data) > self.max_bytes:
            return PageFailure("page_too_large", f"more than max_page_bytes={self.max_bytes:,}")
        if not data.strip():
            return Unsuitable("empty_body")
        if is_binary(data):
            return Unsuitable("binary")
        html, charset = decode_page(data, content_type)
        html = CONTROL.sub("", html)
        if limit := exceeded_limit(html.encode()):
            return PageFailure(*limit)
        text = self._process.extract(html)
        if isinstance(text, PageFailure):
            return text
        text = CONTROL.sub("", text).replace("\r\n", "\n").strip()
        return Page(text, charset) if text else Unsuitable("no_main_text")


def is_binary(data: bytes) -> bool:
    """Whether bytes are no text in any charset: a signature, or control characters where no markup is."""
    if data.startswith(SIGNATURES):
        return True
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or looks_like_html(data):
        return False
    head = data[:SNIFFED_BYTES]
    controls = sum(byte < 32 and byte not in b"\t\n\f\r\x1b" for byte in head)
    return controls * 50 > len(head)


def looks_like_html(data: bytes) -> bool:
    """Whether the beginning holds a tag of HTML, in any charset: those of 16 bits have zeros between the letters."""
    return HTML_START.search(data[:SNIFFED_BYTES].replace(b"\0", b"")) is not None
