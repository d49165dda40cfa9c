"""JSON Lines: a document a line, compressed or not; every other line gets the reason why it is none.

A key that stands twice counts as it stands last. A number as id becomes its digits as they are written; an id, url or
language of another kind becomes null. Further fields go to `metadata` as strings: scalars as they are written, so that
no number loses a digit; NaN and infinite numbers are numbers. What no column can hold (lists, mappings, strings with
half of a surrogate pair, ids of the wrong kind) is counted as `left_out` and costs no document.
Lines are read by orjson; one that it refuses or whose numbers it rounds is read once more by `exact_json`.
Cost, gunzip included: 285 MB of text per CPU-second on documents of 6 kB, 69 on poems of 200 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from pipeline.core.files import RawFile
from pipeline.readers.base import RAW_BYTES, Bad, Reader, Record, checked_text, invalid_utf8
from pipeline.readers.exact_json import Number, parse
from pipeline.readers.lines import lines, utf8_blocks
from pipeline.readers.section import Jsonl as Section
from pipeline.readers.section import Source
from pipeline.readers.streams import Damaged

SAMPLE_LINES = 100  # of a file, for `check`
SAMPLE_BYTES = 1 << 20
_NONE = object()
_AFTER_NUMBER = (b",", b"}", b" ", b"\t", b"\r")


class _Rounded(Exception):
    """A number of the line may not be its digits any more: the line is to be read by the exact parser."""


class Jsonl(Reader):
    """A document a line."""

    def __init__(self, options: Mapping[str, Any], *, max_record_bytes: int) -> None:
        super().__init__(options, max_record_bytes=max_record_bytes)
        fields = options["fields"]
        self.id, self.text, self.url = fields["id"], fields["text"], fields["url"]
        self.languages = (fields["language"],) if fields["language"] else ("language", "lang")

    @classmethod
    def text_problem(cls, source: Source, files: Sequence[RawFile]) -> str | None:
        """That no record at the beginning of the first, the middle and the last file has the field of the text."""
        if cls is not Jsonl or not isinstance(source, Section):
            return None  # a reader of the user's own may know another way to the text
        records = [
            record for at in sorted({0, len(files) // 2, len(files) - 1}) for record in _first_records(files[at])
        ]
        if not records or any(source.fields.text in record for record in records):
            return None
        fields = ", ".join(dict.fromkeys(key for record in records for key in record))
        return (
            f"none of the first {len(records):,} records has a field '{source.fields.text}'; they have: {fields[:300]}."
            " Name the field that holds the text: `text: NAME`."
        )

    def read(self, file: RawFile, *, after: int = -1) -> Iterator[Record | Bad]:
        for found in lines(file.path, limit=self.max_record_bytes, after=after):
            if isinstance(found, Bad):
                yield found
            elif found[1] and not found[1].isspace():
                yield self.record(*found)

    def record(self, position: int, line: bytes) -> Record | Bad:
        """The document of a line, or what is wrong with it."""
        left_out = self.left_out
        try:
            return self._document(position, line, orjson.loads(line))
        except orjson.JSONDecodeError as error:
            value = self._exact(line)
            return _unparsable(position, line, error) if value is _NONE else self._document(position, line, value)
        except _Rounded:
            self.left_out = left_out  # what the first reading counted is counted again
            return self._document(position, line, self._exact(line))

    def _document(self, position: int, line: bytes, value: Any) -> Record | Bad:
        """Raises: _Rounded, for a number that may not be written in the line as its value would be written."""
        if type(value) is not dict:
            return Bad(position, "not_an_object", f"the line holds {_kind(value)}", line[:RAW_BYTES])
        text = value.pop(self.text, _NONE)
        if type(text) is not str:
            return self._no_text(position, line, text)
        data = checked_text(position, text)
        if isinstance(data, Bad):
            return data._replace(raw=line[:RAW_BYTES])
        source_id, url, language = value.pop(self.id, None), value.pop(self.url, None), self._language(value)
        if type(source_id) is not str and source_id is not None:
            source_id = self._identifier(source_id, line)
        if type(url) is not str and url is not None:
            url, self.left_out = None, self.left_out + 1
        return Record(position, data, source_id, url, language, self._metadata(value, line))

    def _exact(self, line: bytes) -> Any:
        """The line with every digit, without what no column can hold; _NONE if it is no JSON."""
        try:
            value = parse(line.decode())
        except ValueError:  # JSONDecodeError and UnicodeDecodeError are both
            return _NONE
        if type(value) is dict:
            for key in [key for key in value if not _is_unicode(key)]:
                del value[key]
                self.left_out += 1
            for key, item in value.items():
                if type(item) is str and key != self.text and not _is_unicode(item):
                    value[key] = []
        return value

    def _language(self, value: dict[str, Any]) -> str | None:
        """The first language that is named; null or an empty string leaves the word to the next field."""
        for name in self.languages:
            if type(value.get(name)) is str and value[name]:
                language: str = value.pop(name)
                return language
        for name in self.languages:
            self.left_out += value.pop(name, None) not in (None, "")
        return None

    def _identifier(self, value: Any, line: bytes) -> str | None:
        """The digits of a number; a truth value or NaN names no record."""
        names_none = type(value) is bool or value in ("NaN", "Infinity", "-Infinity")
        digits = None if names_none else _scalar(self.id, value, line)
        self.left_out += digits is None
        return digits

    def _metadata(self, value: dict[str, Any], line: bytes) -> dict[str, str] | None:
        fields = {
            key: item if type(item) is str else _scalar(key, item, line)
            for key, item in value.items() if item is not None
        }  # fmt: skip
        kept = {key: item for key, item in fields.items() if item is not None}
        self.left_out += len(fields) - len(kept)
        return kept or None

    def _no_text(self, position: int, line: bytes, text: Any) -> Bad:
        if text is _NONE:
            return Bad(position, "missing_text", f"there is no field '{self.text}'", line[:RAW_BYTES])
        return Bad(position, "text_not_a_string", f"'{self.text}' holds {_kind(text)}", line[:RAW_BYTES])


def _first_records(file: RawFile) -> list[dict[str, Any]]:
    """The objects among the first lines of a file; what is damaged or no JSON is left to the run."""
    data = b""
    try:
        for block in utf8_blocks(file.path):
            data += block
            if len(data) >= SAMPLE_BYTES:
                data = data[: data.rfind(b"\n") + 1]  # the last line may go on
                break
    except (Damaged, OSError):
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


def _unparsable(position: int, line: bytes, error: orjson.JSONDecodeError) -> Bad:
    try:
        line.decode()
    except UnicodeDecodeError as wrong:
        return invalid_utf8(position, line, wrong)
    reason = "lone_surrogate" if "surrogate" in error.msg else "unparsable_json"
    return Bad(position, reason, f"{error.msg} (character {error.pos:,})", line[:RAW_BYTES])


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "a truth value", type(None): "null"}
    return kinds.get(type(value), "a number")


def _is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold the text: it has no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _scalar(key: str, value: Any, line: bytes) -> str | None:
    """A number or truth value as the line writes it; None for what is neither.

    Raises: _Rounded.
    """
    kind = type(value)
    if kind is int:
        if not value and b"-0" in line:
            raise _Rounded  # "-0" is read as 0
        return str(value)
    if kind is float:
        digits: bytes = orjson.dumps(value)
        if not _is_written(key, digits, line):
            raise _Rounded
        return digits.decode()
    if kind is bool:
        return "true" if value else "false"
    return str(value) if kind is Number else None


def _is_written(key: str, digits: bytes, line: bytes) -> bool:
    """Whether `"key":` stands before these digits; False where that is not certain. Faster than to parse it again.

    Of a key that stands twice the last one counts. A second brace may open an object that has such a key of its own.
    """
    name = b'"%b"' % key.encode()
    if line.find(b"{", line.find(b"{") + 1) >= 0 and line.count(name) != 1:
        return False
    start = line.rfind(name) + len(name)
    rest = line[start : start + len(digits) + 8].lstrip()
    if not rest.startswith(b":"):
        return False
    rest = rest[1:].lstrip()
    return rest.startswith(digits) and rest[len(digits) : len(digits) + 1] in _AFTER_NUMBER
