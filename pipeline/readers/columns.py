"""Arrow columns become records: what Parquet and Arrow files share.

Strings may be of any Arrow type, dictionaries included, and binary columns may hold text: values that are not UTF-8 are
bad one by one. Numbers, dates and the names of a ClassLabel (`datasets`) become strings. Lists and nested records are
left out, but for what a path such as `data.body` leads to. A record above the limit is never copied to Python.
Cost: 95 (Parquet) to 283 (Arrow) MB of text per CPU-second on documents of 6 kB, 24 to 40 on poems of 200 bytes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from pipeline.core.files import open_bytes
from pipeline.readers.base import RAW_BYTES, BadRecord, Record, too_large
from pipeline.readers.fields import RecordFields, written

BATCH_BYTES = 8 << 20
MAX_BATCH_ROWS = 8192
# pyarrow reports damage by errors of its own and by OSError without a number
Damage = (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError, MemoryError)


class ColumnRecords:
    """Converts record batches of one source. `limit`: the most bytes of strings in a record."""

    def __init__(self, fields: RecordFields, limit: int) -> None:
        self.fields = fields
        self.limit = limit

    def records(self, batch: pa.RecordBatch, first: int, after: int) -> Iterator[Record | BadRecord]:
        """Yield the records of a batch whose first row has the position `first`, a bounded number at a time."""
        skipped = max(0, after + 1 - first)
        rows = _rows_at_once(batch)
        for start in range(skipped, batch.num_rows, rows):
            yield from self._slice(batch.slice(start, rows), first + start)

    def _slice(self, batch: pa.RecordBatch, first: int) -> Iterator[Record | BadRecord]:
        columns = self._selected(batch)
        large = _string_bytes(columns.values(), batch.num_rows)
        oversized = large > self.limit
        if oversized.any():
            keep = pa.array(~oversized)
            columns = {name: pc.if_else(keep, column, None) for name, column in columns.items()}
        labels = _class_labels(batch.schema)
        names = list(columns)
        values = [_python_values(column, labels.get(name)) for name, column in columns.items()]
        for row, items in enumerate(zip(*values, strict=True)):
            if oversized[row]:
                yield too_large(first + row, int(large[row]), self.limit, b"")
                continue
            record = self.fields.document(first + row, dict(zip(names, items, strict=True)), b"", written)
            if isinstance(record, BadRecord) and not record.raw:
                shown = json.dumps(dict(zip(names, items, strict=True)), ensure_ascii=False, default=repr)
                record = record._replace(raw=shown.encode("utf-8", "replace")[:RAW_BYTES])
            yield record

    def _selected(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """The columns by name; what a path leads to is a column of its own beside the rest of its record."""
        columns: dict[str, pa.Array] = {}
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            unique, number = name, 2
            while unique in columns:
                unique, number = f"{name}_{number}", number + 1
            columns[unique] = column
        used: dict[str, set[str]] = defaultdict(set)
        for path in self.fields.paths:
            head, _, rest = path.partition(".")
            inner = None if path in columns or head not in columns else _descend(columns[head], rest.split("."))
            if inner is not None:
                columns[path] = inner
                used[head].add(rest)
        for head, names in used.items():
            if {field.name for field in columns[head].type} <= names:
                del columns[head]
        return columns


def column_names(schema: pa.Schema, prefix: str = "") -> list[str]:
    """The names of the columns; those inside nested records as paths."""
    names = []
    for field in schema:
        names.append(f"{prefix}{field.name}")
        if types.is_struct(field.type):
            names += column_names(field.type, f"{prefix}{field.name}.")
    return names


def open_arrow(path: str) -> pa.NativeFile:
    """Open a file for random access, here or behind a URL."""
    return pa.PythonFile(open_bytes(path), mode="r") if "://" in path else pa.OSFile(path)


def is_damage(error: BaseException) -> bool:
    """Whether an error of Arrow says that the file is damaged; an OSError with a number is a disk or network."""
    return not isinstance(error, OSError) or error.errno is None


def reason_of(error: BaseException) -> str:
    """The first line of an error, for the detail of a bad record."""
    return str(error).partition("\n")[0][:300] or type(error).__name__


def _rows_at_once(batch: pa.RecordBatch) -> int:
    """So many rows that they hold about BATCH_BYTES."""
    rows: int = BATCH_BYTES * batch.num_rows // max(1, batch.nbytes)
    return max(1, min(MAX_BATCH_ROWS, rows))


def _descend(column: pa.Array, names: Sequence[str]) -> pa.Array | None:
    """The column that a path of names leads to inside a column of nested records."""
    for name in names:
        if not types.is_struct(column.type) or column.type.get_field_index(name) < 0:
            return None
        column = pc.struct_field(column, name)
    return column


def _is_string(kind: pa.DataType) -> bool:
    return bool(
        types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind) or types.is_large_binary(kind)
    )


def _string_bytes(columns: Iterable[pa.Array], rows: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """How many bytes of strings each row has."""
    total = np.zeros(rows, np.int64)
    for column in columns:
        values = column.dictionary if types.is_dictionary(column.type) else column
        if _is_string(values.type):
            lengths = pc.binary_length(values)
            lengths = lengths.take(column.indices) if values is not column else lengths
            total += lengths.fill_null(0).to_numpy(zero_copy_only=False)
    return total


def _python_values(column: pa.Array, labels: Sequence[str] | None) -> list[object]:
    """The values of a column as str, int, bool or None; bytes that are not UTF-8; [] for a list or a record."""
    kind = column.type
    if types.is_dictionary(kind):
        values = _python_values(column.dictionary, None)
        return [None if index is None else values[index] for index in column.indices.to_pylist()]
    if labels and types.is_integer(kind):
        known = range(len(labels))
        return [labels[value] if value in known else value for value in column.to_pylist()]
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_null(kind):
        return list(column.to_pylist())
    if types.is_nested(kind):
        return [[] if valid else None for valid in column.is_valid().to_pylist()]
    if not _is_string(kind):
        column = _as_strings(column)
        kind = column.type
    binary = pa.large_binary() if types.is_large_string(kind) or types.is_large_binary(kind) else pa.binary()
    try:
        return list(column.view(pa.large_string() if binary == pa.large_binary() else pa.string()).to_pylist())
    except UnicodeDecodeError:
        return [value if value is None else _text_of(value) for value in column.view(binary).to_pylist()]


def _as_strings(column: pa.Array) -> pa.Array:
    try:
        return column.cast(pa.large_string())
    except pa.ArrowException:  # types that Arrow cannot write, such as durations
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.large_string())


def _text_of(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _class_labels(schema: pa.Schema) -> dict[str, list[str]]:
    """The names of every ClassLabel column, which `datasets` keeps in the metadata of the schema."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return {
            name: [str(label) for label in feature["names"]]
            for name, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and feature.get("names")
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
