"""The columns that cross a stage border, and how a document gets its id. Other programs read these."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pyarrow.types

from pipeline.core.files import JsonObject

# a list of structs and no map: `datasets` and other readers of Parquet know no map type
METADATA = pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())]))

DOCUMENTS = pa.schema(
    [
        ("id", pa.string()),
        ("source_id", pa.string()),
        ("text", pa.large_string()),
        ("source", pa.string()),
        ("url", pa.string()),
        ("language", pa.string()),
        ("metadata", METADATA),
    ]
)

REJECTED = pa.schema(
    [
        ("id", pa.string()),
        ("source_id", pa.string()),
        ("stage", pa.string()),
        ("rule", pa.string()),
        ("value", pa.float64()),
        ("threshold", pa.float64()),
        ("text", pa.large_string()),
    ]
)

DUPLICATES = pa.schema(
    [
        ("id", pa.string()),
        ("source_id", pa.string()),
        ("kept_id", pa.string()),
        ("kept_source_id", pa.string()),
        ("method", pa.string()),
        ("similarity", pa.float64()),
    ]
)

QUARANTINE = pa.schema(
    [
        ("file", pa.string()),
        ("position", pa.int64()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("raw", pa.binary()),
    ]
)

SPAN = pa.struct([("id", pa.string()), ("start", pa.int32()), ("end", pa.int32())])


def current_types(table: pa.Table) -> pa.Table:
    """The table with its `metadata` as METADATA: the artifacts of earlier versions hold a map. No bytes are copied."""
    index = table.schema.get_field_index("metadata")
    if index < 0 or not pyarrow.types.is_map(table.schema.field(index).type):
        return table
    return table.set_column(index, pa.field("metadata", METADATA), table.column(index).cast(METADATA))


def to_rows(documents: pa.Table) -> list[JsonObject]:
    """Every document as a dict for Python code; `metadata` is a list of (key, value), so that `dict()` takes it."""
    rows: list[JsonObject] = documents.to_pylist()
    if "metadata" in documents.column_names:
        for row in rows:
            row["metadata"] = [(item["key"], item["value"]) for item in row["metadata"] or ()]
    return rows


def tokens_schema(vocabulary: int) -> pa.Schema:
    """Packed rows: `tokens` uint16 up to 65,536 pieces, uint32 above; `documents` are spans [start, end) of the row."""
    token = pa.uint16() if vocabulary <= 1 << 16 else pa.uint32()
    return pa.schema([("tokens", pa.list_(token)), ("documents", pa.list_(SPAN))])


def document_id(source: str, name: str, position: int, text_sha256: str) -> str:
    """The stable id of a document: first 32 hex of sha256(source, file name, position, sha256 of text; NUL between).

    `name` is relative to the glob's root, `position` the line from 1 or the record from 0, `text_sha256` in hex.
    """
    return hashlib.sha256(f"{source}\0{name}\0{position}\0{text_sha256}".encode()).hexdigest()[:32]
