"""Where reading of a file may begin: a gzip member that begins with a record, a bzip2 stream, a mark in plain text.

Searches read a file forward, a block of 1 MiB at a time: as fast as memory, unless much looks like a member.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from pipeline.readers.base import FileSpan
from pipeline.readers.divisions import BZIP2_STREAM
from pipeline.readers.streams import GZIP

SEARCH_BYTES = 1 << 20
KNOWN_FLAGS = 0x1F  # of the header of a gzip member; the others are reserved
MAX_POSITION = 1 << 62
PROBE_BYTES = 4 << 10  # compressed bytes of a possible member, to see whether a record begins in it
START_BYTES = 2048  # enough to recognize the first line of a record
BZIP2_START_BYTES = 10


def next_member(file: BinaryIO, start: int, codec: str, record_start: re.Pattern[bytes]) -> int | None:
    """The offset of the next member, from `start` on, that begins with a record; of bzip2, of the next stream."""
    file.seek(start)
    data = b""
    while block := file.read(SEARCH_BYTES):
        data += block
        last = len(block) < SEARCH_BYTES
        size = len(data) if last else len(data) - PROBE_BYTES
        for at in _candidates(data, size, codec):
            if codec == "bzip2" or begins_record(data[at : at + PROBE_BYTES], record_start):
                return start + at
        kept = max(0, size)
        start += kept
        data = data[kept:]
    return None


def spans_between(borders: Sequence[int]) -> list[FileSpan]:
    """Spans from each border to the next, the last one without an end; positions are offsets, so none are counted."""
    ends = [*borders[1:], MAX_POSITION]
    return [FileSpan(start, end, 0) for start, end in zip(borders, ends, strict=True)] if len(borders) > 1 else []


def find_bytes(file: BinaryIO, start: int, mark: bytes) -> int | None:
    """The offset of the mark, from `start` on."""
    file.seek(start)
    data = b""
    while block := file.read(SEARCH_BYTES):
        data += block
        at = data.find(mark)
        if at >= 0:
            return start + at
        kept = max(0, len(data) - len(mark) + 1)
        start += kept
        data = data[kept:]
    return None


def _candidates(data: bytes, size: int, codec: str) -> Iterator[int]:
    """Where a member may begin within the first `size` bytes."""
    pattern = BZIP2_STREAM if codec == "bzip2" else re.compile(re.escape(GZIP))
    for candidate in pattern.finditer(data):
        if candidate.start() >= size:
            return
        yield candidate.start()


def member_before(file: BinaryIO, position: int) -> int:
    """The offset of the last bzip2 stream that begins at or before `position`."""
    end = position + BZIP2_START_BYTES
    while end > BZIP2_START_BYTES:
        start = max(0, end - SEARCH_BYTES)
        file.seek(start)
        offsets = [start + match.start() for match in BZIP2_STREAM.finditer(file.read(end - start))]
        if offsets:
            return offsets[-1]
        end = start + BZIP2_START_BYTES
    return 0


def begins_record(data: bytes, record_start: re.Pattern[bytes]) -> bool:
    """Whether compressed bytes are the beginning of a gzip member that begins with a record."""
    if not data.startswith(GZIP) or data[3:4] > bytes([KNOWN_FLAGS]):
        return False
    try:
        return record_start.match(zlib.decompressobj(31).decompress(data, START_BYTES)) is not None
    except zlib.error:
        return False
