"""Divides a large file of lines into spans that workers read on their own: byte ranges, gzip members, zstd frames.

| file | borders | cost of finding them |
| --- | --- | --- |
| plain | every `span_bytes` bytes, at the next line | none |
| plain, CSV | every `span_bytes` bytes, at the next line end outside quotes | 0.9 GB per CPU-second |
| zstd | frames, from the headers of their blocks | a seek for each block of 128 KiB |
| gzip | members, found by decompressing | 760 MB of text per CPU-second; given up if the first member is large |
| bzip2 | streams, by their first bytes | 1 GB of the file per CPU-second |

A file of one member, frame or stream, and xz, are read by one worker. The number of lines of each span is counted in
parallel, because the position of a document is its line in the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import BinaryIO

from pipeline.core.files import RawFile, open_bytes
from pipeline.readers.base import FileSpan
from pipeline.readers.lines import utf8_blocks
from pipeline.readers.streams import SKIPPABLE, CompressedInput, StreamError, codec_of, member_blocks, skip_zeros

RATIO = 4  # of text to its compressed bytes; decides how many bytes of a compressed file make a span
LARGE_MEMBER = 4  # times span_bytes: a first gzip member above it is taken for the only one
SCAN_BYTES = 1 << 20
BZIP2_STREAM = re.compile(rb"BZh[1-9]1AY&SY")


def divide_lines(file: RawFile, span_bytes: int) -> Sequence[FileSpan]:
    """Spans of a file of lines; empty if it has to be read whole. They depend on its bytes and `span_bytes` alone."""
    try:
        with closing(utf8_blocks(file.path)) as head:
            next(head, b"")
    except StreamError:
        return ()  # reading it whole says what is wrong with it
    with open_bytes(file.path) as stream:
        codec = codec_of(stream.read(10))
        stream.seek(0)
        if codec == "plain":
            borders = [*range(0, file.size, span_bytes), file.size]
        elif codec in BORDERS:
            borders = [*_spaced(BORDERS[codec](stream, span_bytes), span_bytes // RATIO), file.size]
            borders[0] = 0  # a file may begin with a frame that holds no data
        else:
            return ()
    return [FileSpan(start, end) for start, end in zip(borders, borders[1:], strict=False)] if len(borders) > 2 else ()


def divide_rows(file: RawFile, span_bytes: int) -> Sequence[FileSpan]:
    """Spans of a plain file of CSV, each beginning with a row: behind a line end with an even number of quotes before
    it. Their lines are counted on the way, at 0.9 GB per CPU-second."""
    spans: list[FileSpan] = []
    start = offset = line_count = 0
    is_quoted = False
    with open_bytes(file.path) as stream:
        if codec_of(stream.read(10)) != "plain":
            return ()
        stream.seek(0)
        while block := stream.read(SCAN_BYTES):
            at = 0
            while (least := max(at, start + span_bytes - offset)) < len(block):
                end, is_quoted = _row_end(block, at, least, is_quoted)
                line_count += block.count(b"\n", at, end)
                at = end
                if is_quoted or block[end - 1 : end] != b"\n":
                    break
                spans.append(FileSpan(start, offset + end, line_count))
                start, line_count = offset + end, 0
            line_count += block.count(b"\n", at)
            is_quoted ^= block.count(b'"', at) % 2 == 1
            offset += len(block)
    if start < offset:
        spans.append(FileSpan(start, offset, line_count))
    return spans if len(spans) > 1 else ()


def _row_end(block: bytes, at: int, least: int, is_quoted: bool) -> tuple[int, bool]:
    """Where the first row ends behind `least`, and whether the block ends within quotes before one does."""
    is_quoted ^= block.count(b'"', at, least) % 2 == 1
    while (line_end := block.find(b"\n", least)) >= 0:
        is_quoted ^= block.count(b'"', least, line_end) % 2 == 1
        least = line_end + 1
        if not is_quoted:
            return least, False
    return len(block), is_quoted ^ (block.count(b'"', least) % 2 == 1)


def _spaced(borders: Iterator[int], distance: int) -> Iterator[int]:
    """The first border, and those that lie at least `distance` behind the one before."""
    last = -distance
    for border in borders:
        if border - last >= distance:
            yield border
            last = border


def _gzip_members(stream: BinaryIO, span_bytes: int) -> Iterator[int]:
    """Where members begin. A damaged member is the last one: nothing behind it can be read."""
    source = CompressedInput(stream)
    size = 0
    try:
        while source.peek(1):
            border = source.position
            yield border
            for block in member_blocks(source, "gzip"):
                size += len(block)
                if border == 0 and size > LARGE_MEMBER * span_bytes:
                    return
            skip_zeros(source)
    except StreamError:
        return


def _zstd_frames(stream: BinaryIO, span_bytes: int) -> Iterator[int]:
    """Where frames begin, by the sizes in the headers of frames and blocks; ends where they make no sense."""
    position = 0
    while True:
        stream.seek(position)
        head = stream.read(18)
        if head[:4] in SKIPPABLE and len(head) >= 8:
            position += 8 + int.from_bytes(head[4:8], "little")
            continue
        if codec_of(head) != "zstd":
            return
        yield position
        descriptor = head[4]
        single_segment = descriptor >> 5 & 1
        dictionary_bytes = (0, 1, 2, 4)[descriptor & 3]
        size_bytes = (single_segment, 2, 4, 8)[descriptor >> 6]
        position += 4 + 1 + (1 - single_segment) + dictionary_bytes + size_bytes
        last = False
        while not last:
            stream.seek(position)
            block = stream.read(3)
            if len(block) < 3:
                return
            header = int.from_bytes(block, "little")
            last, kind, block_bytes = bool(header & 1), header >> 1 & 3, header >> 3
            position += 3 + (1 if kind == 1 else block_bytes)
        position += 4 * (descriptor >> 2 & 1)  # the checksum


def _bzip2_streams(stream: BinaryIO, span_bytes: int) -> Iterator[int]:
    """Where streams begin: ten bytes that no compressed data has by chance (once in 10^24 bytes)."""
    offset, tail = 0, b""
    while block := stream.read(SCAN_BYTES):
        data = tail + block
        for match in BZIP2_STREAM.finditer(data):
            yield offset - len(tail) + match.start()
        # a match that lies in the tail as a whole was found before
        offset, tail = offset + len(block), data[-9:]


BORDERS: dict[str, Callable[[BinaryIO, int], Iterator[int]]] = {
    "gzip": _gzip_members, "zstd": _zstd_frames, "bzip2": _bzip2_streams,
}  # fmt: skip
