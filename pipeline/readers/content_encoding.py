"""The content encodings of HTTP undone, as far as they go: gzip, deflate, br and zstd. It says where a body is damaged.

Decoding is bounded and never guesses: a body that is not encoded as its field says is left as it is, because many
crawlers store decoded bodies under the fields of the encoded ones.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.readers.streams import CompressedInput, StreamError, codec_of, decompress, member_blocks

BY_NAME = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate", "br": "brotli", "zstd": "zstd"}
JOINED = ("gzip", "zstd")  # a body may have several members (RFC 1952) or frames (RFC 8878)
WITHOUT_MAGIC = ("deflate", "brotli")


class Decoded(NamedTuple):
    """The content, cut above the limit. `damage`: why there is no more of it."""

    data: bytes
    damage: StreamError | None


def undo(body: bytes, encoding: str, limit: int) -> Decoded | None:
    """Undo one encoding; the result is cut after `limit` bytes. None if it is unknown, or the body not so encoded."""
    codec = _codec(body, encoding)
    if codec is None:
        return None
    output = bytearray()
    damage: StreamError | None = None
    try:
        for block in _blocks(body, codec):
            output += block
            if len(output) >= limit:
                break
    except StreamError as error:
        damage = StreamError(error.reason, _detail(error.reason, encoding, len(body), len(output)))
    if damage and not _is_encoded(body, codec, damage, output):
        return None
    return Decoded(bytes(output[:limit]), damage)


def _codec(body: bytes, encoding: str) -> str | None:
    """How a body is compressed. `deflate` means zlib (RFC 9110, 8.4.1.2), but some servers send it bare."""
    name = BY_NAME.get(encoding)
    if name == "brotli" or name is None:
        return name
    magic = codec_of(body[:10])
    if name == "zstd" or magic == "gzip":
        return magic if magic in JOINED else None
    if len(body) > 1 and body[0] & 15 == 8 and int.from_bytes(body[:2]) % 31 == 0:  # RFC 1950, 2.2
        return "zlib"
    return name if name == "deflate" else None


def _blocks(body: bytes, codec: str) -> Iterator[bytes]:
    source = CompressedInput(io.BytesIO(body))
    if codec == "brotli":
        yield from decompress(source, _Brotli)
        return
    yield from member_blocks(source, codec)
    while codec in JOINED and source.peek(1) and codec_of(source.peek(10)) == codec:
        yield from member_blocks(source, codec)


def _is_encoded(body: bytes, codec: str, damage: StreamError, output: bytearray) -> bool:
    """Whether a body that cannot be decoded to its end is encoded at all. A page that can be read is not."""
    if codec in WITHOUT_MAGIC and damage.reason == "corrupt" and not output:
        return False
    # imported late, for few bodies: it loads the charset detector
    from pipeline.extract.pages import looks_like_html

    return codec in JOINED or not looks_like_html(body)


def _detail(reason: str, encoding: str, size: int, decoded: int) -> str:
    what = "ends within" if reason == "truncated" else "is damaged within"
    return f"the body {what} its {encoding}: {decoded:,} bytes come out of {size:,}"


class _Brotli:
    """A decompressor of brotli with the interface of those of `bz2`."""

    def __init__(self) -> None:
        import brotli

        self._decompressor = brotli.Decompressor()
        self._error = brotli.error
        self.needs_input = True
        self.unused_data = b""

    @property
    def eof(self) -> bool:
        return bool(self._decompressor.is_finished())

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        """Raises: ValueError when the data are no brotli."""
        try:
            block: bytes = self._decompressor.process(data, output_buffer_limit=max_length)
        except self._error as error:
            raise ValueError(str(error)) from error
        self.needs_input = bool(self._decompressor.can_accept_more_data())
        return block
