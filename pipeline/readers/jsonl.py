"""JSON Lines, compressed or not: each line is a document, or a bad record with the reason why it is not.

Of a repeated key the last value counts. An id that is a number becomes its digits as written; an id, url or language of
another type becomes null. All other fields go to `metadata` as strings. Scalars are kept as written, so no number loses
a digit; NaN and infinities are numbers. Values that no column can hold (lists, mappings, strings with half of a
surrogate pair, ids of the wrong type) are counted in `left_out`; the document is kept.
Lines are parsed by orjson. A line that orjson rejects, or whose numbers it rounds, is parsed again by `exact_json`.
Cost, gunzip included: 285 MB of text per CPU-second on documents of 6 kB, 69 on poems of 200 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import orjson

from pipeline.core.files import RawFile
from pipeline.readers.base import RAW_BYTES, BadRecord, Reader, Record, encode_text, invalid_utf8
from pipeline.readers.exact_json import Number, parse
from pipeline.readers.lines import BOM, lines, utf8_blocks
from pipeline.readers.section import Jsonl as Section
from pipeline.readers.section import Source, SourceParams
from pipeline.readers.streams import StreamError

SAMPLE_LINES = 100  # of each sampled file, for `check`
SAMPLE_BYTES = 1 << 20
LONG_LINE = 32 << 10
JsonFields = dict[str, object]
"""The members of a JSON object."""
_MISSING = object()
_AFTER_NUMBER = (b",", b"}", b" ", b"\t", b"\r")


class _InexactNumber(Exception):
    """A number may have lost digits in parsing; the line must be parsed again by the exact parser."""


class Jsonl(Reader):
    """Reads a document from each line."""

    format = "JSON Lines"

    def __init__(self, options: SourceParams, *, max_record_bytes: int) -> None:
        super().__init__(options, max_record_bytes=max_record_bytes)
        fields = options["fields"]
        self.id, self.text, self.url = fields["id"], fields["text"], fields["url"]
        self.languages = (fields["language"],) if fields["language"] else ("language", "lang")

    @classmethod
    def text_problem(cls, source: Source, files: Sequence[RawFile]) -> str | None:
        """Check that at least one of the first records of the first, middle and last file has the text field."""
        if cls is not Jsonl or not isinstance(source, Section):
            return None  # a subclass in a plug-in may take the text from elsewhere
        sampled = sorted({0, len(files) // 2, len(files) - 1})
        records = [record for index in sampled for record in _first_records(files[index])]
        if not records or any(source.fields.text in record for record in records):
            return None
        fields = ", ".join(dict.fromkeys(key for record in records for key in record))
        return (
            f"none of the first {len(records):,} records has a field '{source.fields.text}'; they have: {fields[:300]}."
            " Name the field that holds the text: `text: NAME`."
        )

    @classmethod
    def recognizes(cls, head: bytes, name: str) -> bool:
        """The first line that is not blank is a JSON object, as far as it lies in the head."""
        line, rest = (head.removeprefix(BOM).lstrip().split(b"\n", 1) + [b""])[:2]
        if not line.startswith(b"{"):
            return False
        try:
            return isinstance(orjson.loads(line), dict)
        except orjson.JSONDecodeError:
            return not rest and len(line) > LONG_LINE  # a longer line than the head may be anything but a short one

    def read(self, file: RawFile, *, after: int = -1) -> Iterator[Record | BadRecord]:
        for line in lines(file.path, limit=self.max_record_bytes, after=after):
            if isinstance(line, BadRecord):
                yield line
            elif line[1] and not line[1].isspace():
                yield self.record(*line)

    def record(self, position: int, line: bytes) -> Record | BadRecord:
        """Convert a line to a document, or to a bad record that says what is wrong."""
        left_out = self.left_out
        try:
            return self._document(position, line, orjson.loads(line))
        except orjson.JSONDecodeError as error:
            value = self._parse_exactly(line)
            return _unparsable(position, line, error) if value is _MISSING else self._document(position, line, value)
        except _InexactNumber:
            self.left_out = left_out  # undo what the first attempt counted; the second one counts it again
            return self._document(position, line, self._parse_exactly(line))

    def _document(self, position: int, line: bytes, value: object) -> Record | BadRecord:
        """Convert a parsed line.

        Raises: _InexactNumber when a number may be written in the line with other digits than its value has.
        """
        if type(value) is not dict:
            return BadRecord(position, "not_an_object", f"the line holds {_json_type(value)}", line[:RAW_BYTES])
        text = value.pop(self.text, _MISSING)
        if type(text) is not str:
            return self._no_text(position, line, text)
        data = encode_text(position, text)
        if isinstance(data, BadRecord):
            return data._replace(raw=line[:RAW_BYTES])
        source_id, url, language = value.pop(self.id, None), value.pop(self.url, None), self._language(value)
        if type(source_id) is not str and source_id is not None:
            source_id = self._identifier(source_id, line)
        if type(url) is not str and url is not None:
            url = None
            self.left_out += 1
        return Record(position, data, source_id, url, language, self._metadata(value, line))

    def _parse_exactly(self, line: bytes) -> object:
        """Parse with every digit kept and drop strings that no column can hold. Returns _MISSING for invalid JSON."""
        try:
            value = parse(line.decode())
        except ValueError:  # the base class of JSONDecodeError and UnicodeDecodeError
            return _MISSING
        if isinstance(value, dict):
            for key in [key for key in value if not _is_unicode(key)]:
                del value[key]
                self.left_out += 1
            for key, item in value.items():
                if type(item) is str and key != self.text and not _is_unicode(item):
                    value[key] = []
        return value

    def _language(self, value: JsonFields) -> str | None:
        """Take the language from the first field that holds one; null and the empty string are passed over."""
        for name in self.languages:
            language = value.get(name)
            if type(language) is str and language:
                del value[name]
                return language
        for name in self.languages:
            self.left_out += value.pop(name, None) not in (None, "")
        return None

    def _identifier(self, value: object, line: bytes) -> str | None:
        """The digits of a number. A boolean, NaN or an infinity is not an identifier."""
        is_no_identifier = type(value) is bool or value in ("NaN", "Infinity", "-Infinity")
        digits = None if is_no_identifier else _scalar(self.id, value, line)
        self.left_out += digits is None
        return digits

    def _metadata(self, value: JsonFields, line: bytes) -> dict[str, str] | None:
        fields = {
            key: item if type(item) is str else _scalar(key, item, line)
            for key, item in value.items() if item is not None
        }  # fmt: skip
        metadata = {key: item for key, item in fields.items() if item is not None}
        self.left_out += len(fields) - len(metadata)
        return metadata or None

    def _no_text(self, position: int, line: bytes, text: object) -> BadRecord:
        if text is _MISSING:
            return BadRecord(position, "missing_text", f"there is no field '{self.text}'", line[:RAW_BYTES])
        return BadRecord(position, "text_not_a_string", f"'{self.text}' holds {_json_type(text)}", line[:RAW_BYTES])


def _first_records(file: RawFile) -> list[JsonFields]:
    """The objects among the first lines of a file. Damaged files and invalid JSON are left for the run to report."""
    data = b""
    try:
        for block in utf8_blocks(file.path):
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


def _json_type(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")


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
