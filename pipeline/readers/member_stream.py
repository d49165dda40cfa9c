"""The decompressed bytes of a file, cut where a member of gzip or bzip2 begins with a record.

A crawl has a gzip member for each record, a dump of Wikipedia a bzip2 stream for each hundred pages. Reading may begin
at such a member, and never crosses from one into the next: a wrong length or damage costs what is in its member.
Members that begin within a record are joined. After damage, `recover` goes on at the next member that begins with a
record, and says how many bytes are lost. Cost: 700 MB of output per CPU-second for gzip.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from pipeline.readers.member_borders import (
    BZIP2_START_BYTES,
    PROBE_BYTES,
    START_BYTES,
    begins_record,
    member_before,
    next_member,
)
from pipeline.readers.streams import CompressedInput, StreamError, codec_of, member_blocks, skip_zeros

BLANK = b"\r\n \t"
BY_MEMBER = ("gzip", "bzip2")


class _Step(NamedTuple):
    """Decompressed bytes. `offset`: where their member begins in the file, if they are the first bytes of it."""

    data: bytes
    offset: int | None


class MemberStream:
    """Reads forward from `start`, which `start_at` gives. `damage` says why nothing more can be read.

    `record_start` matches where a record begins.
    """

    def __init__(self, file: BinaryIO, start: int, record_start: re.Pattern[bytes]) -> None:
        self._file = file
        self._record_start = record_start
        self._buffer = bytearray()
        self._waiting: _Step | None = None  # the beginning of the next member
        self._open(start)

    def _open(self, start: int) -> None:
        self.damage: StreamError | None = None
        self.damaged_at = start
        self.member = start
        self._index = 0  # of the next record in the member
        self._steps = self._decompress(start)
        self._advance()

    def _decompress(self, start: int) -> Iterator[_Step]:
        self._file.seek(start)
        source = CompressedInput(self._file)
        source.position = start
        self.codec = codec_of(source.peek(10))
        self._offset = start if self.codec == "plain" else 0  # of the first byte of the buffer, where it is no gzip
        while source.peek(1):
            offset = self.damaged_at = source.position
            if self.codec != "plain" and codec_of(source.peek(10)) != self.codec:
                head = source.peek(16).hex(" ")
                raise StreamError("trailing_garbage", f"no member begins at byte {offset:,}: {head} …")
            yield from self._member(source, offset)
            if self.codec != "plain":
                skip_zeros(source)

    def _member(self, source: CompressedInput, offset: int) -> Iterator[_Step]:
        """The bytes of a member; the first of them together, as many as it takes to recognize a record."""
        first = bytearray()
        begun = False
        damage: StreamError | None = None
        try:
            for block in member_blocks(source, self.codec):
                if begun:
                    yield _Step(block, None)
                elif len(first := first + block) >= START_BYTES:
                    begun = True
                    yield _Step(bytes(first), offset)
        except StreamError as error:
            damage = error
        if not begun:
            yield _Step(bytes(first), offset)
        if damage:
            raise damage

    def _advance(self) -> bool:
        """Take the next bytes into the buffer. False before a member that begins with a record, and at the end."""
        if self._waiting or self.damage:
            return False
        try:
            step = next(self._steps, None)
        except StreamError as error:
            self.damage = error
            return False
        if step is None:
            return False
        is_member = self.codec in BY_MEMBER and step.offset not in (None, self.member)
        if is_member and self._record_start.match(step.data):
            self._waiting = step
            return False
        self._buffer += step.data
        return True

    def next_member(self) -> bool:
        """Go on to the member before which reading stopped. Returns False if there is none."""
        if self._waiting is None:
            return False
        data, offset = self._waiting
        assert offset is not None
        self._waiting = None
        if self.member + self._index > offset:  # their positions would not be unique
            self.damage = StreamError("too_many_records", f"{self._index:,} records in a member of fewer bytes")
            self.damaged_at = offset
            return False
        self._buffer = bytearray(data)
        self.member = offset
        self._index = 0
        return True

    def begin_record(self) -> int:
        """The position of the record that begins here: it grows within the file, and one may start reading at it."""
        if self.codec not in BY_MEMBER:
            return self._offset
        self._index += 1
        return self.member + self._index - 1

    def position_of_damage(self) -> int:
        """The position of damage that no record has."""
        if self.codec not in BY_MEMBER or self.damaged_at == self.member:
            return self.begin_record()
        return max(self.damaged_at, self.member + self._index)

    def peek(self, size: int) -> bytes:
        """The next `size` bytes; fewer at the end of the member or file."""
        while len(self._buffer) < size and self._advance():
            pass
        return bytes(self._buffer[:size])

    def read(self, size: int) -> bytes:
        data = self.peek(size)
        self._drop(len(data))
        return data

    def skip(self, size: int) -> int:
        """Pass over bytes without keeping them; returns how many there were."""
        left = size
        while left and self.peek(1):
            step = min(left, len(self._buffer))
            self._drop(step)
            left -= step
        return size - left

    def skip_blank(self) -> bytes:
        """Pass over the white space between records, and return the last of it."""
        passed = b""
        while self.peek(1) and self._buffer[0] in BLANK:
            size = next((at for at, byte in enumerate(self._buffer) if byte not in BLANK), len(self._buffer))
            passed = self.read(size)
        return passed

    def skip_to(self, mark: bytes) -> int:
        """Pass over bytes until the mark comes, or the end of the member. Returns the number of bytes."""
        skipped = 0
        while self.peek(START_BYTES):
            at = self._buffer.find(mark)
            step = at if at >= 0 else max(1, len(self._buffer) - len(mark))
            self._drop(step)
            skipped += step
            if at >= 0:
                break
        return skipped

    def read_through(self, mark: bytes, limit: int) -> bytes:
        """The bytes up to the mark and with it; without it at the end of the member, or after `limit` bytes."""
        searched = 0
        while True:
            at = self._buffer.find(mark, searched)
            if at >= 0 or len(self._buffer) > limit:
                return self.read(at + len(mark) if at >= 0 else limit + 1)
            searched = max(0, len(self._buffer) - len(mark))
            if not self._advance():
                return self.read(len(self._buffer))

    def unread(self, data: bytes) -> None:
        self._buffer[:0] = data
        self._offset -= len(data)

    def begins_record(self) -> bool:
        return self._record_start.match(self.peek(START_BYTES)) is not None

    def _drop(self, size: int) -> None:
        del self._buffer[:size]
        self._offset += size

    def recover(self) -> int:
        """Go on at the next member that begins with a record. Returns the bytes of the file that are lost."""
        damaged_at, damage = self.damaged_at, self.damage
        assert damage is not None
        self._buffer.clear()
        size = self._file.seek(0, 2)
        ends = self.codec not in BY_MEMBER or damage.reason in ("truncated", "too_many_records")
        offset = None if ends else next_member(self._file, damaged_at + 1, self.codec, self._record_start)
        if offset is None or offset < self.member + self._index:  # positions must grow
            self._steps = iter(())
            self.damage = None
            return size - damaged_at
        self._open(offset)
        return offset - damaged_at


def start_at(file: BinaryIO, position: int, record_start: re.Pattern[bytes]) -> int:
    """Where to start reading to reach the record at `position`: there if it begins a member, else before it."""
    if position <= 0:
        return 0
    file.seek(0)
    codec = codec_of(file.read(BZIP2_START_BYTES))
    if codec == "bzip2":
        offset = member_before(file, position)
        while offset and not MemberStream(file, offset, record_start).begins_record():
            offset = member_before(file, offset - 1)
        return offset
    file.seek(position)
    data = file.read(PROBE_BYTES)
    begins = begins_record(data, record_start) if codec == "gzip" else bool(record_start.match(data))
    return position if begins and codec in ("gzip", "plain") else 0
