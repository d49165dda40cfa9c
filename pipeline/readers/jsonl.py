"""JSON Lines, compressed or not: each line is a document, or a bad record with the reason why it is not.

`fields.py` says what becomes of each field. Of a repeated key the last value counts. Scalars are kept as written, so no
number loses a digit; NaN and infinities are numbers. Strings with half of a surrogate pair are counted in `left_out`;
the document is kept.
Lines are parsed by orjson. A line that orjson rejects, or whose numbers it rounds, is parsed again by `exact_json`.
Cost, gunzip included: 285 MB of text per CPU-second on documents of 6 kB, 69 on poems of 200 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import orjson

from pipeline.core.files import RawFile
from pipeline.readers.base import RAW_BYTES, BadRecord, FileSpan, Reader, Record, invalid_utf8
from pipeline.readers.divisions import divide_lines
from pipeline.readers.exact_json import Number, parse
from pipeline.readers.fields import MISSING, FieldValues, RecordFields, missing_text, names_of, sample, type_name
from pipeline.readers.lines import BOM, Line, count_lines, lines, utf8_blocks
from pipeline.readers.section import Jsonl as Section
from pipeline.readers.section import Source, SourceParams
from pipeline.readers.streams import StreamError

SAMPLE_LINES = 100  # of each sampled file, for `check`
SAMPLE_BYTES = 1 << 20
LONG_LINE = 32 << 10
RECOGNIZED_LINES = 10
_AFTER_NUMBER = (b",", b"}", b" ", b"\t", b"\r")


class _InexactNumber(Exception):
    """A number may have lost digits in parsing; the line must be parsed again by the exact parser."""


class Jsonl(Reader):
    """Reads a document from each line."""

    format = "JSON Lines"
    exclusive = True

    def __init__(self, options: SourceParams, *, max_record_bytes: int) -> None:
        super().__init__(options, max_record_bytes=max_record_bytes)
        self.fields = RecordFields(options["fields"])

    @property
    def left_out(self) -> int:
        return self.fields.left_out

    @classmethod
    def text_problem(cls, source: Source, files: Sequence[RawFile]) -> str | None:
        """Check that at least one of the first records of the first, middle and last file has the text field."""
        if cls is not Jsonl or not isinstance(source, Section):
            return None  # a subclass in a plug-in may take the text from elsewhere
        records = [record for file in sample(files) for record in first_records(utf8_blocks(file.path))]
        names = (name for record in records for name in names_of(record))
        return missing_text(source.fields.text, names, f"none of the first {len(records):,} records has a field")

    @classmethod
    def recognizes(cls, head: bytes, name: str) -> bool:
        """One of the first lines is a JSON object, or the first is the beginning of one and longer than the head."""
        lines_of_head = head.removeprefix(BOM).lstrip().split(b"\n", RECOGNIZED_LINES)
        if len(lines_of_head) == 1 and len(head) > LONG_LINE:
            return head.removeprefix(BOM).lstrip().startswith(b"{")
        return any(_is_object(line) for line in lines_of_head[:RECOGNIZED_LINES])

    def divide(self, file: RawFile, span_bytes: int) -> Sequence[FileSpan]:
        return divide_lines(file, span_bytes)

    def count(self, file: RawFile, span: FileSpan) -> tuple[int, bool]:
        return count_lines(file.path, span)

    def read(self, file: RawFile, *, after: int = -1) -> Iterator[Record | BadRecord]:
        return self._records(lines(file.path, limit=self.max_record_bytes, after=after))

    def read_span(self, file: RawFile, span: FileSpan, *, after: int = -1) -> Iterator[Record | BadRecord]:
        return self._records(lines(file.path, limit=self.max_record_bytes, after=after, span=span))

    def _records(self, numbered: Iterator[Line | BadRecord]) -> Iterator[Record | BadRecord]:
        for line in numbered:
            if isinstance(line, BadRecord):
                yield line
            elif line[1] and not line[1].isspace():
                yield self.record(*line)

    def record(self, position: int, line: bytes) -> Record | BadRecord:
        """Convert a line to a document, or to a bad record that says what is wrong."""
        left_out = self.fields.left_out
        try:
            return self._document(position, line, orjson.loads(line))
        except orjson.JSONDecodeError as error:
            value = self._parse_exactly(line)
            return _unparsable(position, line, error) if value is MISSING else self._document(position, line, value)
        except _InexactNumber:
            self.fields.left_out = left_out  # undo what the first attempt counted; the second one counts it again
            return self._document(position, line, self._parse_exactly(line))

    def _document(self, position: int, line: bytes, value: object) -> Record | BadRecord:
        """Convert a parsed line.

        Raises: _InexactNumber when a number may be written in the line with other digits than its value has.
        """
        if type(value) is not dict:
            return BadRecord(position, "not_an_object", f"the line holds {type_name(value)}", line[:RAW_BYTES])
        return self.fields.document(position, value, line, lambda key, item: _scalar(key, item, line))

    def _parse_exactly(self, line: bytes) -> object:
        """Parse with every digit kept and drop strings that no column can hold. Returns MISSING for invalid JSON."""
        try:
            value = parse(line.decode(), levels=self.fields.levels)
        except ValueError:  # the base class of JSONDecodeError and UnicodeDecodeError
            return MISSING
        if isinstance(value, dict):
            self._drop_surrogates(cast(FieldValues, value), "")
        return value

    def _drop_surrogates(self, value: FieldValues, prefix: str) -> None:
        """Take out keys, and values but for the text, that have half of a surrogate pair."""
        for key in [key for key in value if not _is_unicode(key)]:
            del value[key]
            self.fields.left_out += 1
        for key, item in value.items():
            if type(item) is str and prefix + key not in self.fields.texts and not _is_unicode(item):
                value[key] = []
            elif type(item) is dict and item:
                self._drop_surrogates(item, f"{prefix}{key}.")


def _is_object(line: bytes) -> bool:
    try:
        return line.lstrip().startswith(b"{") and isinstance(parse(line.decode()), dict)
    except ValueError:
        return False


def first_records(stream: Iterator[bytes]) -> list[FieldValues]:
    """The objects among the first lines. Damaged files and invalid JSON are left for the run to report."""
    data = b""
    try:
        for block in stream:
            data += block
            if len(data) >= SAMPLE_BYTES:
                data = data[: data.rfind(b"\n") + 1]  # the last line may be incomplete
                break
    except (StreamError, OSError):
        return []
    records = []
    for line in data.split(b"\n")[:SAMPLE_LINES]:
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(value, dict):
            records.append(value)
    return records


def _unparsable(position: int, line: bytes, error: orjson.JSONDecodeError) -> BadRecord:
    try:
        line.decode()
    except UnicodeDecodeError as decode_error:
        return invalid_utf8(position, line, decode_error)
    reason = "lone_surrogate" if "surrogate" in error.msg else "unparsable_json"
    return BadRecord(position, reason, f"{error.msg} (character {error.pos:,})", line[:RAW_BYTES])


def _is_unicode(text: str) -> bool:
    """Whether the text can be encoded as UTF-8, that is, has no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _scalar(key: str, value: object, line: bytes) -> str | None:
    """A number or boolean as the line writes it; None for any other value.

    Raises: _InexactNumber.
    """
    value_type = type(value)
    if value_type is int:
        if not value and b"-0" in line:
            raise _InexactNumber  # orjson reads "-0" as 0
        return str(value)
    if value_type is float:
        digits: bytes = orjson.dumps(value)
        if not _is_written(key, digits, line):
            raise _InexactNumber
        return digits.decode()
    if value_type is bool:
        return "true" if value else "false"
    return str(value) if value_type is Number else None


def _is_written(key: str, digits: bytes, line: bytes) -> bool:
    """Whether the line has `"key":` before exactly these digits; False if uncertain. Cheaper than parsing again.

    Of a repeated key the last value counts. A second brace may open an object that has the same key.
    """
    name = b'"%b"' % key.encode()
    if line.find(b"{", line.find(b"{") + 1) >= 0 and line.count(name) != 1:
        return False
    start = line.rfind(name) + len(name)
    remainder = line[start : start + len(digits) + 8].lstrip()
    if not remainder.startswith(b":"):
        return False
    remainder = remainder[1:].lstrip()
    return remainder.startswith(digits) and remainder[len(digits) : len(digits) + 1] in _AFTER_NUMBER
