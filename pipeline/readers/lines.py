"""The lines of a raw file, numbered from 1. Of a line longer than the limit only the beginning is kept in memory.

Cost: one copy of the bytes, 2.8 GB per CPU-second on lines of 6 kB. Lines up to `after` are counted without a copy.
"""

from __future__ import annotations

import codecs
import itertools
from collections.abc import Generator, Iterator
from contextlib import closing, suppress

from pipeline.readers.base import RAW_BYTES, BadRecord, FileSpan, too_large
from pipeline.readers.streams import StreamError, blocks

Line = tuple[int, bytes]
BOM = b"\xef\xbb\xbf"
OTHER_ENCODINGS = (
    (b"\xff\xfe\0\0", "UTF-32"), (b"\0\0\xfe\xff", "UTF-32"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"),
)  # fmt: skip
BINARY_FORMATS = ((b"PAR1", "Parquet"), (b"ARROW1\0\0", "Arrow"), (b"\xff\xff\xff\xff", "Arrow"))


def lines(
    path: str, *, limit: int, after: int = -1, encoding: str = "utf-8", span: FileSpan | None = None
) -> Iterator[Line | BadRecord]:
    """Yield (number, line without its line feed), or a bad record: too long, damaged from here on, or not UTF-8.

    Of a span the lines that begin in it are read; the last of them may end behind it.
    """
    if span is not None:
        yield from _lines_of(path, span, limit, after)
        return
    splitter = _LineSplitter(limit, after)
    try:
        for block in utf8_blocks(path, encoding):
            yield from splitter.split(block)
    except StreamError as damage:
        # the line that the damage cut short belongs to the same bad record
        yield BadRecord(splitter.number, damage.reason, damage.detail, splitter.head())
        return
    yield from splitter.finish()


def _lines_of(path: str, span: FileSpan, limit: int, after: int) -> Iterator[Line | BadRecord]:
    # the line that an earlier span began is skipped like those before `after`
    splitter = _LineSplitter(limit, max(after, span.first + 1) if span.continues else after)
    splitter.number = span.first + 1
    line_is_open = False
    try:
        for block in _span_blocks(path, span):
            yield from splitter.split(block)
            line_is_open = not block.endswith(b"\n") if block else line_is_open
    except StreamError as damage:
        yield BadRecord(splitter.number, damage.reason, damage.detail, splitter.head())
        return
    if line_is_open and splitter.number > splitter.after:
        # damage behind the span is a bad record of the next one
        with suppress(StreamError), closing(blocks(path, span.end)) as following:
            for block in following:
                end = block.find(b"\n") + 1
                yield from splitter.split(block[:end] if end else block)
                if end:
                    return
    yield from splitter.finish()


def _span_blocks(path: str, span: FileSpan) -> Iterator[bytes]:
    span_blocks = blocks(path, span.start, span.end)
    if span.start == 0:
        yield next(span_blocks, b"").removeprefix(BOM)
    yield from span_blocks


def count_lines(path: str, span: FileSpan) -> tuple[int, bool]:
    """How many lines end in a span, and whether it ends within a line."""
    count = 0
    line_is_open = False
    try:
        for block in blocks(path, span.start, span.end):
            count += block.count(b"\n")
            line_is_open = not block.endswith(b"\n")
    except StreamError:
        return count, False  # its reader says what is lost; the next span begins with a line of its own
    return count, line_is_open


def utf8_blocks(path: str, encoding: str = "utf-8") -> Generator[bytes, None, None]:
    """Yield the decompressed blocks of a file as UTF-8 without a byte order mark.

    Bytes that are not valid in another encoding come out as bytes that are not UTF-8: the record that has them is bad.
    Raises: StreamError; before the first block if the file begins with a byte order mark of UTF-16 or UTF-32.
    """
    if encoding != "utf-8":
        yield from _transcoded(blocks(path), encoding)
        return
    remaining_blocks = blocks(path)
    head = b""
    for block in remaining_blocks:
        head += block
        if len(head) >= 4:
            break
    for byte_order_mark, name in OTHER_ENCODINGS:
        if head.startswith(byte_order_mark):
            raise StreamError("not_utf8", f"the file is {name}; convert it (iconv -f {name.lower()} -t utf-8)")
    for magic, name in BINARY_FORMATS:
        if head.startswith(magic) and b"\0" in head:
            raise StreamError("wrong_format", f"the file is {name}: write `reader: {name.lower()}`")
    yield head.removeprefix(BOM)
    yield from remaining_blocks


def _transcoded(encoded_blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")
    head = True
    for block in itertools.chain(encoded_blocks, (b"",)):
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:  # UTF-16 and UTF-32 have no bytes that could be kept
            raise StreamError("not_" + encoding.replace("-", ""), f"{error.reason}: the rest is lost") from error
        data = text.encode("utf-8", "surrogateescape")
        if head and data:
            data, head = data.removeprefix(BOM), False
        yield data


class _LineSplitter:
    """Splits blocks into lines. `parts` holds the unfinished last line, at most `limit` bytes of it."""

    def __init__(self, limit: int, after: int) -> None:
        self.limit = limit
        self.after = after
        self.number = 1
        self.parts: list[bytes] = []
        self.size = 0

    def split(self, block: bytes) -> Iterator[Line | BadRecord]:
        if self.number <= self.after:
            block = self._skip(block)
        first_part, *later_parts = block.split(b"\n")
        self._append(first_part)
        if not later_parts:
            return
        yield self._end_line()
        open_line = later_parts.pop()
        for line in later_parts:
            yield (self.number, line) if len(line) <= self.limit else self._too_long(line, len(line))
            self.number += 1
        self._append(open_line)

    def finish(self) -> Iterator[Line | BadRecord]:
        """Yield the last line of a file that does not end with a line feed."""
        if self.size and self.number > self.after:
            yield self._end_line()

    def head(self) -> bytes:
        return b"".join(self.parts)[:RAW_BYTES]

    def _skip(self, block: bytes) -> bytes:
        count = block.count(b"\n")
        if self.number + count <= self.after:
            self.number += count
            return b""
        start = 0
        while self.number <= self.after:
            start = block.index(b"\n", start) + 1
            self.number += 1
        return block[start:]

    def _append(self, part: bytes) -> None:
        self.size += len(part)
        if self.size > self.limit:
            self.parts = [(b"".join(self.parts) + part[:RAW_BYTES])[:RAW_BYTES]]
        elif part:
            self.parts.append(part)

    def _end_line(self) -> Line | BadRecord:
        line = b"".join(self.parts)
        result = (self.number, line) if self.size <= self.limit else self._too_long(line, self.size)
        self.parts = []
        self.size = 0
        self.number += 1
        return result

    def _too_long(self, line: bytes, size: int) -> BadRecord:
        return too_large(self.number, size, self.limit, line)
