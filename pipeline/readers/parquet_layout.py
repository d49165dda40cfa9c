"""Where the pages of a Parquet file lie, read without Arrow, and what would end the process if Arrow met it.

Arrow's Python interface ends the process where the metadata of a column is damaged, and allocates what a page says its
size is, up to 2 GiB. So the footer and the headers of pages are read here first (Thrift's compact protocol,
parquet.thrift of parquet-format 2.11). Cost: 1 us for each field of the footer, 20 us for each page.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pyarrow as pa

TAIL_BYTES = 8  # the length of the footer, and the magic bytes
HEADER_BYTES = 1 << 10  # of a page; with long statistics it is longer
MAX_HEADER_BYTES = 16 << 20
MAX_DEPTH = 16
SMALL_PAGE_BYTES = 16 << 20  # a page of less may claim what it likes
BYTE_ARRAY = 6
ThriftStruct = dict[int, Any]
"""A struct of Thrift: values by field number."""


class Chunk(NamedTuple):
    """A column of a row group: its type, and where its pages begin and end in the file. Sizes are in bytes."""

    is_bytes: bool
    has_dictionary: bool
    start: int
    size: int
    inflated_size: int


def read_chunks(source: pa.NativeFile) -> list[list[Chunk]]:
    """The columns of every row group.

    Raises: ValueError when the footer is damaged.
    """
    end = source.size() - TAIL_BYTES
    size = int.from_bytes(source.read_at(4, end), "little")
    footer, _ = decode(source.read_at(size, max(0, end - size)))
    return [[_chunk(column) for column in _structs(group, 1)] for group in _structs(footer, 4)]


def page_problem(source: pa.NativeFile, chunk: Chunk) -> str:
    """What is wrong with the size of a page; empty if nothing is. Damage of another kind is found by Arrow."""
    at, end = chunk.start, chunk.start + chunk.size
    if at < 0:
        return f"a column begins at byte {at:,}"
    limit = max(chunk.inflated_size, SMALL_PAGE_BYTES)
    while at < end:
        header, length = _page_header(source, at, end)
        inflated, size = header.get(2, 0), header.get(3, 0)
        if inflated > limit or size > max(end - at, SMALL_PAGE_BYTES):
            return f"the page at byte {at:,} claims {max(inflated, size):,} bytes, more than all pages of its column"
        if not length or not 0 <= size <= end - at:
            return ""
        at += length + size
    return ""


def decode(data: bytes) -> tuple[ThriftStruct, int]:
    """Decode a struct of Thrift's compact protocol. Returns its fields and its length.

    Raises: ValueError when it is damaged or cut.
    """
    decoder = _Decoder(data)
    try:
        return decoder.struct(0), decoder.at
    except (IndexError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a struct is damaged at byte {decoder.at:,}") from error


def _structs(struct: ThriftStruct, number: int) -> list[ThriftStruct]:
    """A field that holds a list of structs."""
    values = struct.get(number, [])
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise ValueError(f"field {number} is no list of structs")
    return values


def _chunk(column: ThriftStruct) -> Chunk:
    metadata = column.get(3)
    if not isinstance(metadata, dict):
        raise ValueError("a column has no metadata")
    numbers = {number: metadata.get(number) for number in (1, 6, 7, 9, 11)}
    if not all(value is None or isinstance(value, int) for value in numbers.values()):
        raise ValueError("the metadata of a column has other types")
    start, dictionary = numbers[9] or 0, numbers[11]
    if dictionary is not None and 0 < dictionary < start:
        start = dictionary
    return Chunk(numbers[1] == BYTE_ARRAY, dictionary is not None, start, numbers[7] or 0, numbers[6] or 0)


def _page_header(source: pa.NativeFile, at: int, end: int) -> tuple[ThriftStruct, int]:
    """The sizes in the header of the page at `at`, and its length; 0 if it is damaged."""
    size = HEADER_BYTES
    while True:
        data = source.read_at(min(size, end - at), at)
        try:
            header, length = decode(data)
            return ({number: header[number] for number in (2, 3) if isinstance(header.get(number), int)}, length)
        except ValueError:
            if len(data) < size or size >= MAX_HEADER_BYTES:
                return {}, 0
            size *= 8


class _Decoder:
    """Decodes bytes from `at` on."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def struct(self, depth: int) -> ThriftStruct:
        if depth > MAX_DEPTH:
            raise ValueError("structs are nested too deep")
        fields: ThriftStruct = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            kind = head & 15
            fields[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        match kind:
            case 1 | 2 | 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._zigzag()
            case 7:
                return self._bytes(8)
            case 8:
                return self._bytes(self._varint())
            case 9 | 10:
                head = self._byte()
                size = self._varint() if head >> 4 == 15 else head >> 4
                return [self._value(head & 15, depth + 1) for _ in range(size)]
            case 11:
                size = self._varint()
                kinds = self._byte() if size else 0
                return [(self._value(kinds >> 4, depth + 1), self._value(kinds & 15, depth + 1)) for _ in range(size)]
            case 12:
                return self.struct(depth + 1)
        raise ValueError(f"{kind} is no type")

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _bytes(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise ValueError("a value is cut")
        self.at += size
        return self.data[self.at - size : self.at]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number is too long")

    def _zigzag(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
