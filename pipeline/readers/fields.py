"""The fields of a record, for every reader of records: which hold the text, id, url and language; the rest is metadata.

A field is named by its key, or by a path such as `data.body` into nested records; a key that itself contains the dot
comes first. Several text fields are joined; those that are missing, null or empty are passed over. An id that is a
number becomes its digits; an id, url or language of another type becomes null. All other fields become strings in
`metadata`. Values that no string holds (lists, records, ids of the wrong type) are counted in `left_out`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pipeline.core.files import RawFile
from pipeline.readers.base import RAW_BYTES, BadRecord, Record, encode_text, invalid_utf8

MISSING = object()
NOT_A_NUMBER = ("NaN", "Infinity", "-Infinity")
FieldValues = dict[str, object]
"""The fields of one record by name; nested records are dicts of their own."""
Scalar = Callable[[str, object], str | None]
"""Writes a number or boolean as a string: (key, value) → string, or None for any other value."""


class RecordFields:
    """Turns the fields of records into documents. `left_out` counts values that no column can hold."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        text = fields["text"]
        self.texts: tuple[str, ...] = (text,) if isinstance(text, str) else tuple(text)
        self.join: str = fields.get("join", "\n\n")
        self.id: str = fields["id"]
        self.url: str = fields["url"]
        self.languages: tuple[str, ...] = (fields["language"],) if fields["language"] else ("language", "lang")
        self.licence: str | None = fields.get("licence")
        self.left_out = 0

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path that is looked up."""
        licence = (self.licence,) if self.licence else ()
        return (*self.texts, self.id, self.url, *self.languages, *licence)

    @property
    def levels(self) -> int:
        """How many levels of nested records the paths lead into."""
        return max(path.count(".") for path in self.paths)

    def document(self, position: int, values: FieldValues, raw: bytes, scalar: Scalar) -> Record | BadRecord:
        """Convert a record; takes its fields out of `values`. `raw` is what the quarantine shows of a bad one."""
        text = take(values, self.texts[0]) if len(self.texts) == 1 else self._joined(values)
        if isinstance(text, bytes):
            try:
                text = text.decode()
            except UnicodeDecodeError as error:
                return invalid_utf8(position, error.object, error)
        if type(text) is not str:
            return self._no_text(position, text, raw)
        data = encode_text(position, text)
        if isinstance(data, BadRecord):
            return data._replace(raw=raw[:RAW_BYTES])
        source_id, url, language = take(values, self.id, None), take(values, self.url, None), self._language(values)
        if type(source_id) is not str and source_id is not None:
            source_id = self._identifier(source_id, scalar)
        if type(url) is not str and url is not None:
            url = None
            self.left_out += 1
        return Record(position, data, source_id, url, language, self._metadata(values, scalar))

    def _joined(self, values: FieldValues) -> object:
        """The texts of several fields, joined; MISSING if none has any; the first value that is no text, if any."""
        parts = [take(values, path, None) for path in self.texts]
        for index, part in enumerate(parts):
            if type(part) is bytes:
                try:
                    parts[index] = part.decode()
                except UnicodeDecodeError:
                    return part
        wrong = next((part for part in parts if part is not None and type(part) is not str), None)
        texts = [part for part in parts if part and type(part) is str]
        return wrong if wrong is not None else self.join.join(texts) if texts else MISSING

    def _language(self, values: FieldValues) -> str | None:
        """Take the language from the first field that holds one; null and the empty string are passed over."""
        for path in self.languages:
            language = look(values, path)
            if type(language) is str and language:
                take(values, path)
                return language
        for path in self.languages:
            self.left_out += take(values, path, None) not in (None, "")
        return None

    def _identifier(self, value: object, scalar: Scalar) -> str | None:
        """The digits of a number. A boolean, NaN or an infinity is not an identifier."""
        digits = None if type(value) is bool or value in NOT_A_NUMBER else scalar(self.id.rpartition(".")[2], value)
        self.left_out += digits is None
        return digits

    def _metadata(self, values: FieldValues, scalar: Scalar) -> dict[str, str] | None:
        licence = take(values, self.licence, None) if self.licence else None
        if licence is not None:
            values["licence"] = _joined_list(licence)
        fields = {
            key: item if type(item) is str else scalar(key, item)
            for key, item in values.items() if item is not None
        }  # fmt: skip
        metadata = {key: item for key, item in fields.items() if item is not None}
        self.left_out += len(fields) - len(metadata)
        return metadata or None

    def _no_text(self, position: int, text: object, raw: bytes) -> BadRecord:
        names = " or ".join(f"'{path}'" for path in self.texts)
        if text is MISSING:
            return BadRecord(position, "missing_text", f"there is no field {names}", raw[:RAW_BYTES])
        return BadRecord(position, "text_not_a_string", f"{names} holds {type_name(text)}", raw[:RAW_BYTES])


def _joined_list(value: object) -> object:
    """Several licences as one text; any other value as it is."""
    is_list = isinstance(value, list) and value and all(type(item) is str for item in value)
    return ", ".join(value) if isinstance(value, list) and is_list else value


def take(values: FieldValues, path: str, default: object = MISSING) -> object:
    """Take the value of a path out of a record; a nested record that is then empty is taken out as well."""
    value = values.pop(path, MISSING)
    if value is not MISSING:
        return value
    head, dot, rest = path.partition(".")
    inner = values.get(head) if dot else None
    if not isinstance(inner, dict):
        return default
    value = take(inner, rest, default)
    if not inner:
        del values[head]
    return value


def look(values: FieldValues, path: str) -> object:
    """The value of a path of a record; None if there is none."""
    if path in values:
        return values[path]
    head, dot, rest = path.partition(".")
    inner = values.get(head) if dot else None
    return look(inner, rest) if isinstance(inner, dict) else None


def sample(files: Sequence[RawFile]) -> list[RawFile]:
    """The first, the middle and the last file of a source, whose fields `check` looks at."""
    return [files[index] for index in sorted({0, len(files) // 2, len(files) - 1})] if files else []


def missing_text(text: str | Sequence[str], names: Iterable[str], subject: str) -> str | None:
    """For `check`: a message if there are fields and none of them holds the text. `subject`: what has no field."""
    texts, names = [text] if isinstance(text, str) else list(text), list(dict.fromkeys(names))
    if not names or any(text in names for text in texts):
        return None
    fields = " or ".join(f"'{text}'" for text in texts)
    hint = "Name the field that holds the text: `text: NAME`."
    return f"{subject} {fields}; they have: {', '.join(names)[:300]}. {hint}"


def names_of(values: FieldValues, prefix: str = "") -> list[str]:
    """The names of the fields of a record; those of nested records as paths."""
    names = []
    for key, value in values.items():
        names.append(f"{prefix}{key}")
        if isinstance(value, dict):
            names += names_of(value, f"{prefix}{key}.")
    return names


def type_name(value: object) -> str:
    """What a value is, in the words of JSON."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")


def written(key: str, value: object) -> str | None:
    """A value of a column as a string; None for a list or a nested record."""
    if type(value) is bool:
        return "true" if value else "false"
    return str(value) if type(value) is int else None
