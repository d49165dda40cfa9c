"""Plain text in UTF-8, compressed or not: a document a file, a paragraph (blank lines part them) or a line.

Positions are 0 for a file, else the number of the line where the document begins, from 1. Line ends stay as they are
within a document. A file or paragraph above `max_record_bytes` is quarantined without being held.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.core.files import RawFile
from pipeline.readers.base import RAW_BYTES, Bad, Reader, Record, checked_text, invalid_utf8, too_large
from pipeline.readers.lines import lines, utf8_blocks
from pipeline.readers.streams import Damaged


class Plain(Reader):
    """`split` says what a document is: file, paragraph or line."""

    def read(self, file: RawFile, *, after: int = -1) -> Iterator[Record | Bad]:
        ways = {"file": self._file, "paragraph": self._paragraphs, "line": self._lines}
        return ways[self.options["split"]](file, after)

    def _file(self, file: RawFile, after: int) -> Iterator[Record | Bad]:
        if after >= 0:
            return
        parts: list[bytes] = []
        size = 0
        try:
            for block in utf8_blocks(file.path):
                size += len(block)
                if size <= self.max_record_bytes:
                    parts.append(block)
        except Damaged as damage:
            yield Bad(0, damage.reason, damage.detail, b"".join(parts)[:RAW_BYTES])
            return
        data = b"".join(parts)
        yield _record(0, data) if size <= self.max_record_bytes else too_large(0, size, self.max_record_bytes, data)

    def _lines(self, file: RawFile, after: int) -> Iterator[Record | Bad]:
        for found in lines(file.path, limit=self.max_record_bytes, after=after):
            if isinstance(found, Bad):
                yield found
            elif not found[1].isspace() and found[1]:
                yield _record(found[0], found[1].removesuffix(b"\r"))

    def _paragraphs(self, file: RawFile, after: int) -> Iterator[Record | Bad]:
        return (found for found in self._all_paragraphs(file) if found.position > after)

    def _all_paragraphs(self, file: RawFile) -> Iterator[Record | Bad]:
        begin, size = 0, 0
        parts: list[bytes] = []
        for found in lines(file.path, limit=self.max_record_bytes):
            blank = not isinstance(found, Bad) and (not found[1] or found[1].isspace())
            if parts and (blank or isinstance(found, Bad)):
                yield self._paragraph(begin, parts, size)
                parts, size = [], 0
            if isinstance(found, Bad):
                yield found
            elif not blank:
                begin = begin if parts else found[0]
                size += len(found[1]) + 1
                if size <= self.max_record_bytes:
                    parts.append(found[1].removesuffix(b"\r"))
        if parts:
            yield self._paragraph(begin, parts, size)

    def _paragraph(self, begin: int, parts: list[bytes], size: int) -> Record | Bad:
        data = b"\n".join(parts)
        if size > self.max_record_bytes:
            return too_large(begin, size, self.max_record_bytes, data)
        return _record(begin, data)


def _record(position: int, data: bytes) -> Record | Bad:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return invalid_utf8(position, data, error)
    found = checked_text(position, text)
    return found if isinstance(found, Bad) else Record(position, found)
