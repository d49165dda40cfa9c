"""Reads evaluation items: the id and the texts of each record of a JSON, Parquet, CSV or text file, compressed or not.

A record may be nested; by default every text in it is taken, except its id. Evaluation sets are small: a file is read
as a whole, up to 4 GiB of text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject, JsonValue, open_bytes
from pipeline.readers.streams import StreamError, blocks

MOST_BYTES = 4 << 30
MOST_FIELD_BYTES = 1 << 27


class Item(NamedTuple):
    """An evaluation item: its task, its id and its texts."""

    task: str
    id: str
    texts: list[str]


class ItemOptions(NamedTuple):
    """Which texts of a record are taken; `format` is the ending of the file's name."""

    task: str
    format: str
    fields: Sequence[str] | None
    id: str


def read_items(path: str, options: ItemOptions) -> Iterator[Item]:
    """Every item of a file, in its order; one without an id has its number, from 1.

    Raises: StageFailed for a file that cannot be read or holds none.
    """
    number = 0
    try:
        for number, record in enumerate(_records(path, options.format), 1):
            texts = list(_texts(record, options.fields, options.id))
            name = record.get(options.id) if isinstance(record, dict) else None
            yield Item(options.task, str(number if name is None else name), texts)
    except (ValueError, KeyError, csv.Error, pa.ArrowException, StreamError, OSError) as error:
        where = f"record {number + 1}"
        raise StageFailed(f"decontaminate: {path}: {where} cannot be read: {str(error).rstrip('.')}.") from error
    if not number:
        raise StageFailed(f"decontaminate: {path}: the file holds no item. Check the path.")


def _records(path: str, form: str) -> Iterator[JsonValue]:
    if form == ".parquet":
        with open_bytes(path) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(1000):
                yield from batch.to_pylist()
        return
    text = _content(path)
    if form in (".csv", ".tsv"):
        csv.field_size_limit(MOST_FIELD_BYTES)
        lines = io.StringIO(text.decode("utf-8-sig"), newline="")
        yield from csv.DictReader(lines, delimiter="," if form == ".csv" else "\t")
    elif form == ".txt":
        yield from (line for line in text.decode("utf-8-sig").splitlines() if line.strip())
    elif text.lstrip().startswith(b"["):
        yield from orjson.loads(text)
    else:
        yield from (orjson.loads(line) for line in text.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip())


def _content(path: str) -> bytes:
    content = bytearray()
    for block in blocks(path):
        content += block
        if len(content) > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES >> 30} GiB after decompression")
    return bytes(content)


def _texts(record: JsonValue, fields: Sequence[str] | None, id_field: str) -> Iterator[str]:
    if fields is None:
        own = {key: value for key, value in record.items() if key != id_field} if isinstance(record, dict) else record
        yield from _all_texts(own)
        return
    for field in fields:
        yield from _all_texts(_field(record, field))


def _field(record: JsonValue, path: str) -> JsonValue:
    """The value at a path such as a.b; a field whose name has the dot itself comes first. None where there is none."""
    value: JsonObject | JsonValue = record
    if isinstance(value, dict) and path in value:
        return value[path]
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _all_texts(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        if value.strip():
            yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _all_texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _all_texts(item)
