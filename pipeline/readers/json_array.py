"""A JSON array of objects, as `json.dump` and pandas write it: read element by element, whatever its size.

The position of a document is its index in the array, from 0. Elements are found by brackets and strings alone, so an
element that is not JSON is one bad record and those behind it are read. An array that does not end was cut off.
Cost: 169 MB of text per CPU-second on documents of 6 kB, as for JSON Lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.core.files import RawFile
from pipeline.readers.base import RAW_BYTES, BadRecord, Reader, Record, too_large
from pipeline.readers.fields import missing_text, names_of, sample
from pipeline.readers.jsonl import Jsonl, first_records
from pipeline.readers.lines import BOM, utf8_blocks
from pipeline.readers.section import JsonArray as Section
from pipeline.readers.section import Source, SourceParams
from pipeline.readers.streams import StreamError

ENDS = 4096  # elements of a block that are found at once
Element = tuple[int, bytes]


class JsonArray(Reader):
    """Reads a document from each element."""

    format = "a JSON array"
    exclusive = True

    def __init__(self, options: SourceParams, *, max_record_bytes: int) -> None:
        super().__init__(options, max_record_bytes=max_record_bytes)
        self.objects = Jsonl(options, max_record_bytes=max_record_bytes)

    @property
    def left_out(self) -> int:
        return self.objects.left_out

    @classmethod
    def recognizes(cls, head: bytes, name: str) -> bool:
        """An array whose first element is an object. `[` alone begins many other texts."""
        text = head.removeprefix(BOM).lstrip()
        return text.startswith(b"[") and text[1:].lstrip()[:1] == b"{"

    @classmethod
    def text_problem(cls, source: Source, files: Sequence[RawFile]) -> str | None:
        if not isinstance(source, Section):
            return None
        records = [record for file in sample(files) for record in first_records(_as_lines(file))]
        names = (name for record in records for name in names_of(record))
        return missing_text(source.fields.text, names, f"none of the first {len(records):,} records has a field")

    def read(self, file: RawFile, *, after: int = -1) -> Iterator[Record | BadRecord]:
        for element in _elements(file, self.max_record_bytes):
            if isinstance(element, BadRecord):
                if element.position > after:
                    yield element
            elif element[0] > after:
                yield self.objects.record(*element)


def _elements(file: RawFile, limit: int) -> Iterator[Element | BadRecord]:
    """Yield (index, element) for every element; a bad record for one above the limit and for damage."""
    splitter = _ElementSplitter(limit)
    try:
        for block in utf8_blocks(file.path):
            yield from splitter.split(block)
    except StreamError as damage:
        yield BadRecord(splitter.index, damage.reason, damage.detail, splitter.head())
        return
    yield from splitter.finish()


class _ElementSplitter:
    """Splits blocks into elements. `parts` holds the unfinished element, at most `limit` bytes of it."""

    def __init__(self, limit: int) -> None:
        # imported late: numba and its compiled loops are needed only where an array is read
        from pipeline.kernels.json_elements import element_ends

        self.element_ends = element_ends
        self.limit = limit
        self.state = np.zeros(3, np.int64)
        self.ends = np.empty(ENDS, np.int64)
        self.index = 0
        self.parts: list[bytes] = []
        self.size = 0
        self.begun = self.ended = False

    def split(self, block: bytes) -> Iterator[Element | BadRecord]:
        if not self.begun:
            block = block.lstrip()
            if not block:
                return
            if not block.startswith(b"["):
                raise StreamError("not_an_array", "the file does not begin with `[`; JSON Lines are `reader: jsonl`")
            self.begun = True
            self.state[0] = 1
            block = block[1:]
        data = np.frombuffer(block, np.uint8)
        start = at = 0
        while at < len(block) and not self.ended:
            count, at = self.element_ends(data, at, self.state, self.ends)
            for end in self.ends[:count].tolist():
                yield from self._end(block[start:end], last=self.state[0] == 0 and end == at - 1)
                start = end + 1
            self.ended = self.state[0] == 0
        if not self.ended:
            self._append(block[start:])
        elif rest := block[start:].strip():
            raise StreamError("trailing_garbage", f"text follows the end of the array: {rest[:40]!r}")

    def finish(self) -> Iterator[Element | BadRecord]:
        if self.begun and not self.ended:
            detail = "the file ends within the array: it was cut off, or a string or bracket is not closed"
            yield BadRecord(self.index, "truncated", detail, self.head())

    def head(self) -> bytes:
        return b"".join(self.parts)[:RAW_BYTES]

    def _append(self, part: bytes) -> None:
        self.size += len(part)
        if self.size > self.limit:
            self.parts = [(self.head() + part[:RAW_BYTES])[:RAW_BYTES]]
        elif part:
            self.parts.append(part)

    def _end(self, part: bytes, *, last: bool) -> Iterator[Element | BadRecord]:
        self._append(part)
        element = b"".join(self.parts).strip()
        if self.size > self.limit:
            yield too_large(self.index, self.size, self.limit, element)
        elif element:
            yield self.index, element
        elif not last:
            yield BadRecord(self.index, "unparsable_json", "nothing stands before a comma", b"")
        self.index += 1
        self.parts = []
        self.size = 0


def _as_lines(file: RawFile) -> Iterator[bytes]:
    """The first elements as JSON Lines, for `check`."""
    for element in _elements(file, 1 << 20):
        if not isinstance(element, BadRecord):
            yield element[1].replace(b"\n", b" ") + b"\n"
