"""An HTTP response as a crawler stored it: status, fields, and the body without its chunks and compression.

Where a body is not what its fields say, its bytes are kept as they are, because many crawlers store decoded bodies
under the fields of the encoded ones. Where it is cut or damaged within its chunks or encodings, that is said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from pipeline.readers.archive_records import parse_fields
from pipeline.readers.content_encoding import undo
from pipeline.readers.streams import StreamError

STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)? {1,4}(\d{3})\b")
MAX_ENCODINGS = 4


class HttpHeader(NamedTuple):
    """The header of a response. `size` is the number of its bytes, the blank line included."""

    status: int
    fields: Mapping[str, str]
    size: int

    @property
    def media_type(self) -> str:
        return media_type(self.fields.get("content-type", ""))


class Body(NamedTuple):
    """The content of a response.

    `damage`: it was cut or damaged within its chunks or encodings, and what is here is less. `missing`: so many bytes
    fewer than its Content-Length are there.
    """

    data: bytes
    damage: StreamError | None = None
    missing: int = 0


def media_type(content_type: str) -> str:
    """`text/html` from `Text/HTML; charset="UTF-8"`; empty if there is none."""
    return content_type.partition(";")[0].strip().lower()


def parse_header(head: bytes) -> HttpHeader | None:
    """Parse the beginning of a stored response; None if it is no HTTP."""
    status = STATUS_LINE.match(head)
    if status is None:
        return None
    ends = [(at, size) for size, mark in ((4, b"\r\n\r\n"), (2, b"\n\n")) if (at := head.find(mark)) >= 0]
    end, size = min(ends, default=(len(head), 0))
    return HttpHeader(int(status[1]), parse_fields(head[:end]), end + size)


def decode_body(body: bytes, fields: Mapping[str, str], *, limit: int) -> Body:
    """Undo chunks and content encodings; the result is cut after `limit` + 1 bytes."""
    content, damage, as_stated = body, None, True
    chunked = "chunked" in fields.get("transfer-encoding", "").lower()
    if chunked:
        content, damage = remove_chunks(body)
    encodings = [name.strip() for name in fields.get("content-encoding", "").lower().split(",")]
    for name in reversed(encodings[:MAX_ENCODINGS]):
        decoded = undo(content, name, limit + 1) if content else None
        if decoded:
            content, damage = decoded.data, damage or decoded.damage
        as_stated = as_stated and (decoded is not None or name in ("", "identity"))
    missing = 0 if chunked or not as_stated else _missing(fields.get("content-length", ""), len(body))
    return Body(content[: limit + 1], damage, missing)


def remove_chunks(body: bytes) -> tuple[bytes, StreamError | None]:
    """Join the chunks of a body, and say why they do not end as they should. A body without them is returned as it is.

    They end with one of size 0; without it something may be missing (RFC 9112, section 8).
    """
    chunks: list[bytes] = []
    at = 0
    while True:
        end = body.find(b"\n", at, at + 1024)
        size = _chunk_size(body[at:end]) if end >= 0 else -1
        if size <= 0:
            damage = None if size == 0 else _damaged_chunks(body, at, len(chunks))
            return (b"".join(chunks), damage) if chunks or size == 0 else (body, None)
        chunk = body[end + 1 : end + 1 + size]
        chunks.append(chunk)
        if len(chunk) < size:
            detail = f"the body ends within chunk {len(chunks):,}: {len(chunk):,} of its {size:,} bytes are there"
            return b"".join(chunks), StreamError("truncated", detail)
        at = end + 1 + size
        at += 2 if body[at : at + 2] == b"\r\n" else 1


def _damaged_chunks(body: bytes, at: int, chunks: int) -> StreamError:
    """What is wrong where the size of a chunk should be."""
    if b"\n" not in body[at : at + 1024] and len(body) < at + 1024:
        return StreamError("truncated", f"the body ends after {chunks:,} chunks, without the one that ends it")
    return StreamError("corrupt", f"no size of a chunk at byte {at:,} of the body, after {chunks:,} chunks")


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    return int(digits, 16) if re.fullmatch(rb"[0-9A-Fa-f]{1,12}", digits) else -1


def _missing(length: str, size: int) -> int:
    """How many bytes of its Content-Length a body lacks; none if it is empty, as the answer to HEAD is."""
    return max(0, int(length) - size) if size and length.isascii() and length.isdigit() and len(length) < 16 else 0
