"""The records of a web archive: WARC 0.17 to 1.1, and ARC 1 and 2, compressed by members, as a whole, or not at all.

A record that is cut, whose length is wrong or whose member is damaged is a bad record, and reading goes on at the next
one. What lies between is in the detail of the bad record, in bytes. Memory: the longest record below the limit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from pipeline.core.files import RawFile, open_bytes
from pipeline.readers.base import RAW_BYTES, BadRecord, FileSpan, Skipped, too_large
from pipeline.readers.member_borders import spans_between
from pipeline.readers.member_stream import MemberStream, start_at
from pipeline.readers.streams import codec_of

MAX_HEADER_BYTES = 64 << 10
MAX_ARC_LINE_BYTES = 4 << 10
HEAD_BYTES = 64 << 10  # of a body, to decide whether it is wanted
MAX_LENGTH = 1 << 50
USUAL_RATIO = 4  # of content to its compressed bytes
# WARC/1.0, or the first line of an ARC record: URL, address, date, type, …, length
RECORD_START = re.compile(
    rb"WARC/\d|[a-z][a-z0-9+.-]{1,20}:\S{0,1000} \S{1,60} \d{8,14} \S{1,120}(?: \S{1,400}){0,5} \d{1,12}\r?\n"
)
Fields = Mapping[str, str]
"""The header of a record; names in lower case."""
SkipReason = Callable[[Fields, bytes], str | None]
"""From the header and the first bytes of the body: why the record is no document, or None if it may be one."""


class ArchiveRecord(NamedTuple):
    """A record that may be a document."""

    position: int
    fields: Fields
    body: bytes


class _Header(NamedTuple):
    raw: bytes
    fields: Fields
    length: int


def archive_records(
    path: str, *, after: int, limit: int, skip_reason: SkipReason, start: int = 0
) -> Iterator[ArchiveRecord | BadRecord | Skipped]:
    """Yield the records from `start` on whose position is greater than `after`. A body above `limit` is bad."""
    with open_bytes(path) as file:
        stream = MemberStream(file, max(start, start_at(file, after, RECORD_START)), RECORD_START)
        for record in _all_records(stream, limit, skip_reason):
            if record.position > after:
                yield record


def record_spans(file: RawFile, span_bytes: int) -> list[FileSpan]:
    """Spans of an archive that begin where reading may begin: at a member, or at any record of a plain file.

    One pass over the file, 700 MB of content per CPU-second: a body may hold what looks like the beginning of a record.
    """
    borders = [0]
    with open_bytes(file.path) as source:
        codec = codec_of(source.read(10))
        if codec not in ("plain", "gzip"):
            return []
        distance = span_bytes if codec == "plain" else max(1, span_bytes // USUAL_RATIO)
        records = archive_records(file.path, after=-1, limit=0, skip_reason=lambda fields, head: "walk")
        for record in records:
            position = record.position
            is_far = isinstance(record, Skipped) and position - borders[-1] >= distance
            if is_far and start_at(source, position, RECORD_START) == position:
                borders.append(position)
    return spans_between(borders)


def _all_records(
    stream: MemberStream, limit: int, skip_reason: SkipReason
) -> Iterator[ArchiveRecord | BadRecord | Skipped]:
    while True:
        stream.skip_blank()
        if stream.peek(1):
            yield _record(stream, limit, skip_reason)
        elif stream.damage:
            yield _damaged(stream, stream.position_of_damage(), b"")
        elif not stream.next_member() and not stream.damage:
            return


def _record(stream: MemberStream, limit: int, skip_reason: SkipReason) -> ArchiveRecord | BadRecord | Skipped:
    """Read one record and the line ends after it, so that a checksum after it is verified."""
    position = stream.begin_record()
    header = _read_header(stream)
    if header is None:
        return _no_record(stream, position)
    head = stream.read(min(header.length, HEAD_BYTES))
    skipped = skip_reason(header.fields, head)
    keep = skipped is None and header.length <= limit
    body = head + stream.read(header.length - len(head)) if keep else head
    size = len(body) + (0 if keep else stream.skip(header.length - len(head)))
    blank = stream.skip_blank() if size == header.length else b""
    raw = header.raw + b"\r\n\r\n" + body[:RAW_BYTES]
    if stream.damage and stream.damaged_at == stream.member and not stream.peek(1):
        return _damaged(stream, position, raw)
    if size < header.length:
        return BadRecord(position, "truncated", f"{size:,} of the {header.length:,} bytes are there", raw[:RAW_BYTES])
    if stream.peek(1) and not stream.begins_record():
        return _wrong_length(stream, position, header, body if keep else b"", blank)
    if skipped:
        return Skipped(position, skipped)
    return ArchiveRecord(position, header.fields, body) if keep else too_large(position, header.length, limit, raw)


def _wrong_length(stream: MemberStream, position: int, header: _Header, body: bytes, blank: bytes) -> BadRecord:
    """A record whose length leads into the middle of something. If it holds the next record, that one is put back."""
    start = body.find(b"\nWARC/1.")
    if start >= 0:
        stream.unread(body[start + 1 :] + blank)
        detail = f"the length {header.length:,} reaches into the next record, which begins after {start + 1:,} bytes"
    else:
        skipped = _skip_to_record(stream)
        detail = f"{skipped:,} bytes follow the {header.length:,} of its length, and are no record"
    return BadRecord(position, "wrong_length", detail, (header.raw + b"\r\n\r\n" + body)[:RAW_BYTES])


def _no_record(stream: MemberStream, position: int) -> BadRecord:
    raw = stream.peek(RAW_BYTES)
    if stream.damage and stream.damaged_at == stream.member and len(raw) < RAW_BYTES:
        return _damaged(stream, position, raw)
    skipped = _skip_to_record(stream)
    return BadRecord(position, "no_record", f"no header of a record; {skipped:,} bytes were passed over", raw)


def _skip_to_record(stream: MemberStream) -> int:
    """Pass over lines until a record begins, or the end of the member. Returns the number of bytes."""
    skipped = stream.skip_to(b"\nWARC/1.")
    return skipped + stream.skip(1)


def _damaged(stream: MemberStream, position: int, raw: bytes) -> BadRecord:
    """The bad record for damage to the file, after which reading goes on where it can."""
    assert stream.damage is not None
    reason, detail = stream.damage.reason, stream.damage.detail
    lost = stream.recover()
    return BadRecord(position, reason, f"{detail}; {lost:,} bytes of the file cannot be read", raw[:RAW_BYTES])


def _read_header(stream: MemberStream) -> _Header | None:
    """Read the header of a record. Returns None, with nothing read, if there is none."""
    if not stream.begins_record():
        return None
    if stream.peek(5) != b"WARC/":
        return _read_arc_header(stream)
    data = _peek_header(stream)
    end, size = _blank_line(data)
    if end < 0:
        return None
    fields = parse_fields(data[:end])
    length = fields.get("content-length", "")
    if not (length.isascii() and length.isdigit()) or int(length) > MAX_LENGTH:
        return None
    stream.skip(size)
    return _Header(data[:end], fields, int(length))


def _peek_header(stream: MemberStream) -> bytes:
    """Look ahead as far as the header goes: it is short, and looking further would copy the body."""
    size = 1 << 10
    while True:
        data = stream.peek(size)
        if _blank_line(data)[0] >= 0 or len(data) < size or size >= MAX_HEADER_BYTES:
            return data
        size *= 4


def _blank_line(data: bytes) -> tuple[int, int]:
    """Where the first blank line begins, and where what follows it begins; -1 if there is none."""
    end, bare = data.find(b"\r\n\r\n"), data.find(b"\n\n")
    if end >= 0 and (bare < 0 or end < bare):
        return end, end + 4
    return (bare, bare + 2) if bare >= 0 else (-1, -1)


def parse_fields(header: bytes) -> dict[str, str]:
    """The fields of a header after its first line, names in lower case. Of a repeated field the first one counts."""
    fields: dict[str, str] = {}
    name = ""
    for line in header.decode("utf-8", "replace").splitlines()[1:]:
        if line[:1] in (" ", "\t") and name:  # a folded line
            fields[name] += " " + line.strip()
            continue
        key, colon, value = line.partition(":")
        name = key.strip().lower() if colon and key.strip().lower() not in fields else ""
        if name:
            fields[name] = value.strip()
    return fields


def _read_arc_header(stream: MemberStream) -> _Header | None:
    """The line that begins a record of an ARC file, with the names that WARC uses."""
    line = stream.peek(MAX_ARC_LINE_BYTES).partition(b"\n")[0]
    words = line.decode("utf-8", "replace").split()
    if not words[-1].isascii() or not words[-1].isdigit() or int(words[-1]) > MAX_LENGTH:
        return None
    stream.skip(len(line) + 1)
    kind = "filedesc" if words[0].startswith("filedesc:") else "response"
    date = words[2]
    iso = f"{date[:4]}-{date[4:6]}-{date[6:8]}T{date[8:10]}:{date[10:12]}:{date[12:14]}Z" if len(date) == 14 else date
    fields = {"warc-type": kind, "warc-target-uri": words[0], "warc-date": iso, "content-type": words[3]}
    return _Header(line, fields, int(words[-1]))
