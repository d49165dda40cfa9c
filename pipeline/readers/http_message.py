"""An HTTP response as a crawler stored it: status, fields, and the body without its chunks and compression.

Decoding is bounded and never guesses: where a body is not what its fields say, its bytes are kept as they are, because
many crawlers store decoded bodies under the fields of the encoded ones.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import zstandard

from pipeline.readers.archive_records import parse_fields

STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)? {1,4}(\d{3})\b")
MAX_ENCODINGS = 4
STEP_BYTES = 64 << 10
WINDOW_BYTES = 8 << 20  # the largest window of zstd that browsers accept


class HttpHeader(NamedTuple):
    """The header of a response. `size` is the number of its bytes, the blank line included."""

    status: int
    fields: Mapping[str, str]
    size: int

    @property
    def media_type(self) -> str:
        return media_type(self.fields.get("content-type", ""))


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


def decode_body(body: bytes, fields: Mapping[str, str], *, limit: int) -> bytes:
    """Undo chunks and content encodings; the result is cut after `limit` + 1 bytes."""
    if "chunked" in fields.get("transfer-encoding", "").lower():
        body = remove_chunks(body)
    encodings = [name.strip() for name in fields.get("content-encoding", "").lower().split(",")]
    for name in reversed(encodings[:MAX_ENCODINGS]):
        decode = DECODERS.get(name)
        decoded = decode(body, limit + 1) if decode else None
        body = body if decoded is None else decoded
    return body[: limit + 1]


def remove_chunks(body: bytes) -> bytes:
    """Join the chunks of a body. A body without them is returned as it is; one that ends early, up to there."""
    chunks: list[bytes] = []
    at = 0
    while True:
        end = body.find(b"\n", at, at + 1024)
        size = _chunk_size(body[at:end]) if end >= 0 else -1
        if size <= 0:
            return b"".join(chunks) if chunks or size == 0 else body
        chunks.append(body[end + 1 : end + 1 + size])
        at = end + 1 + size
        at += 2 if body[at : at + 2] == b"\r\n" else 1


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    return int(digits, 16) if re.fullmatch(rb"[0-9A-Fa-f]{1,12}", digits) else -1


def _inflate(body: bytes, limit: int) -> bytes | None:
    """Decompress gzip, zlib or bare deflate as far as it goes; None if it is none of them."""
    for window in (47, -15):  # 47: gzip or zlib, by the header
        decompressor = zlib.decompressobj(window)
        output = bytearray()
        data = body
        try:
            while len(output) < limit and not decompressor.eof:
                block = decompressor.decompress(data, min(STEP_BYTES, limit - len(output)))
                data = decompressor.unconsumed_tail
                output += block
                if not block and not data:
                    break
        except zlib.error:
            pass
        if output or decompressor.eof:
            return bytes(output)
    return None


def _brotli(body: bytes, limit: int) -> bytes | None:
    import brotli

    decompressor = brotli.Decompressor()
    output = bytearray()
    data = body
    try:
        while len(output) < limit and not decompressor.is_finished():
            block = decompressor.process(data, output_buffer_limit=STEP_BYTES)
            data = b""
            output += block
            if not block and decompressor.can_accept_more_data():
                break
    except brotli.error:
        pass
    return bytes(output[:limit]) or None


def _zstd(body: bytes, limit: int) -> bytes | None:
    reader = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES).stream_reader(body, read_across_frames=True)
    output = bytearray()
    try:
        while len(output) < limit and (block := reader.read(STEP_BYTES)):
            output += block
    except zstandard.ZstdError:
        pass
    return bytes(output[:limit]) or None


DECODERS: Mapping[str, Callable[[bytes, int], bytes | None]] = {
    "gzip": _inflate, "x-gzip": _inflate, "deflate": _inflate, "br": _brotli, "zstd": _zstd,
}  # fmt: skip
