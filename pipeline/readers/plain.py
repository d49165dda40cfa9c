"""Plain text, Markdown included, in UTF-8 or the `encoding` that is named, compressed or not.

A document is a file, a paragraph (separated by blank lines) or a line, as `split` says.
The position of a document is 0 for a file, otherwise the number of its first line, counted from 1. Line endings inside
a file are kept. A file or paragraph above `max_record_bytes` is quarantined without being held in memory.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence

from pipeline.core.files import RawFile
from pipeline.readers.base import RAW_BYTES, BadRecord, FileSpan, Reader, Record, encode_text, invalid_utf8, too_large
from pipeline.readers.divisions import divide_lines
from pipeline.readers.lines import count_lines, lines, utf8_blocks
from pipeline.readers.section import SourceParams
from pipeline.readers.streams import StreamError


class PlainText(Reader):
    """Reads a document from each file, paragraph or line, as the option `split` says."""

    format = "plain text"

    @classmethod
    def recognizes(cls, head: bytes, name: str) -> bool:
        """Any UTF-8 without NUL. The head may end within a character."""
        try:
            codecs.getincrementaldecoder("utf-8")().decode(head)
        except UnicodeDecodeError:
            return False
        return b"\0" not in head

    def __init__(self, options: SourceParams, *, max_record_bytes: int) -> None:
        super().__init__(options, max_record_bytes=max_record_bytes)
        self.encoding: str = options.get("encoding", "utf-8")

    def read(self, file: RawFile, *, after: int = -1) -> Iterator[Record | BadRecord]:
        methods = {"file": self._file, "paragraph": self._paragraphs, "line": self._lines}
        return methods[self.options["split"]](file, after)

    def _file(self, file: RawFile, after: int) -> Iterator[Record | BadRecord]:
        if after >= 0:
            return
        parts: list[bytes] = []
        size = 0
        try:
            for block in utf8_blocks(file.path, self.encoding):
                size += len(block)
                if size <= self.max_record_bytes:
                    parts.append(block)
        except StreamError as damage:
            yield BadRecord(0, damage.reason, damage.detail, b"".join(parts)[:RAW_BYTES])
            return
        data = b"".join(parts)
        yield _record(0, data) if size <= self.max_record_bytes else too_large(0, size, self.max_record_bytes, data)

    def divide(self, file: RawFile, span_bytes: int) -> Sequence[FileSpan]:
        """A document of one file, or of paragraphs whose borders only their lines show, is read whole."""
        return divide_lines(file, span_bytes) if self.options["split"] == "line" and self.encoding == "utf-8" else ()

    def count(self, file: RawFile, span: FileSpan) -> tuple[int, bool]:
        return count_lines(file.path, span)

    def read_span(self, file: RawFile, span: FileSpan, *, after: int = -1) -> Iterator[Record | BadRecord]:
        return self._lines(file, after, span)

    def _lines(self, file: RawFile, after: int, span: FileSpan | None = None) -> Iterator[Record | BadRecord]:
        numbered = lines(file.path, limit=self.max_record_bytes, after=after, encoding=self.encoding, span=span)
        for line in numbered:
            if isinstance(line, BadRecord):
                yield line
            elif not line[1].isspace() and line[1]:
                yield _record(line[0], line[1].removesuffix(b"\r"))

    def _paragraphs(self, file: RawFile, after: int) -> Iterator[Record | BadRecord]:
        return (record for record in self._all_paragraphs(file) if record.position > after)

    def _all_paragraphs(self, file: RawFile) -> Iterator[Record | BadRecord]:
        first_line = 0
        size = 0
        parts: list[bytes] = []
        for line in lines(file.path, limit=self.max_record_bytes, encoding=self.encoding):
            blank = not isinstance(line, BadRecord) and (not line[1] or line[1].isspace())
            if parts and (blank or isinstance(line, BadRecord)):
                yield self._paragraph(first_line, parts, size)
                parts = []
                size = 0
            if isinstance(line, BadRecord):
                yield line
            elif not blank:
                first_line = first_line if parts else line[0]
                size += len(line[1]) + 1
                if size <= self.max_record_bytes:
                    parts.append(line[1].removesuffix(b"\r"))
        if parts:
            yield self._paragraph(first_line, parts, size)

    def _paragraph(self, first_line: int, parts: list[bytes], size: int) -> Record | BadRecord:
        data = b"\n".join(parts)
        if size > self.max_record_bytes:
            return too_large(first_line, size, self.max_record_bytes, data)
        return _record(first_line, data)


def _record(position: int, data: bytes) -> Record | BadRecord:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return invalid_utf8(position, data, error)
    encoded = encode_text(position, text)
    return encoded if isinstance(encoded, BadRecord) else Record(position, encoded)
