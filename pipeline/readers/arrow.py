"""Arrow IPC files and streams, and folders that `datasets` wrote with `save_to_disk`, without that package.

The position of a document is its row in the file, from 0. A stream has no index, so it is read from its beginning; that
it is whole is known from its end marker. Every batch is validated before a value of it is used. A damaged batch is one
bad record; in a file the batches behind it are read, a stream ends there.
Of a `save_to_disk` folder the files that `state.json` lists are read, those of all splits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.types as types

from pipeline.core import listing
from pipeline.core.errors import UserError
from pipeline.core.files import RawFile, open_bytes
from pipeline.readers.base import BadRecord, FileSpan, Reader, Record
from pipeline.readers.columns import ColumnRecords, Damage, column_names, is_damage, open_arrow, reason_of
from pipeline.readers.fields import RecordFields, missing_text, sample
from pipeline.readers.section import ArrowFiles, FileSource, Source, SourceParams

FILE, STREAM = b"ARROW1\0\0", b"\xff\xff\xff\xff"
END_MARKER = STREAM + bytes(4)
STATE = "state.json"
DESCRIPTIONS = (STATE, "dataset_info.json", "dataset_dict.json")  # beside the .arrow files of `save_to_disk`


class Arrow(Reader):
    """Reads a document from each row."""

    format = "Arrow"
    magic = (FILE, STREAM)

    def __init__(self, options: SourceParams, *, max_record_bytes: int) -> None:
        super().__init__(options, max_record_bytes=max_record_bytes)
        self.fields = RecordFields(options["fields"])

    @property
    def left_out(self) -> int:
        return self.fields.left_out

    @classmethod
    def match(cls, source: Source) -> list[RawFile]:
        assert isinstance(source, FileSource)
        return _data_files(listing.match(source.paths))

    @classmethod
    def recognizes(cls, head: bytes, name: str) -> bool:
        return head.startswith(cls.magic) or PurePosixPath(name).name in DESCRIPTIONS

    @classmethod
    def text_problem(cls, source: Source, files: Sequence[RawFile]) -> str | None:
        if not isinstance(source, ArrowFiles):
            return None
        names = [name for file in sample(files) for name in _names(file)]
        return missing_text(source.fields.text, names, "the files have no column")

    def divide(self, file: RawFile, span_bytes: int) -> Sequence[FileSpan]:
        if "://" in file.path:
            return ()
        try:
            with pa.memory_map(file.path) as source:
                return _divide_file(source, file, span_bytes) or _divide_stream(source, span_bytes)
        except Damage as error:
            if not is_damage(error):
                raise
            return ()  # reading the file says what is wrong

    def count(self, file: RawFile, span: FileSpan) -> tuple[int, bool]:
        with pa.memory_map(file.path) as source:
            batches = pa.ipc.open_file(source)
            return sum(batches.get_batch(index).num_rows for index in range(span.start, span.end)), False

    def read(self, file: RawFile, *, after: int = -1) -> Iterator[Record | BadRecord]:
        return self.read_span(file, FileSpan(0, -1), after=after)

    def read_span(self, file: RawFile, span: FileSpan, *, after: int = -1) -> Iterator[Record | BadRecord]:
        columns = ColumnRecords(self.fields, self.max_record_bytes)
        position = span.first
        with open_arrow(file.path) as source:
            for batch in _batches(source, file, span):
                if isinstance(batch, str):
                    if position > after:
                        yield BadRecord(position, batch.partition(":")[0], batch.partition(": ")[2], b"")
                    position += 1
                    continue
                if position + batch.num_rows - 1 > after:
                    yield from columns.records(batch, position, after)
                position += batch.num_rows


def _batches(source: pa.NativeFile, file: RawFile, span: FileSpan) -> Iterator[pa.RecordBatch | str]:
    """The batches of a span, and "reason: detail" in the place of what cannot be read."""
    head = source.read(len(FILE))
    source.seek(0)
    if not head:
        return
    try:
        if head == FILE:
            yield from _file_batches(pa.ipc.open_file(source), span)
        elif span.end >= 0:
            schema = pa.ipc.open_stream(source).schema
            source.seek(span.start)
            while source.tell() < span.end:
                yield _validated(pa.ipc.read_record_batch(pa.ipc.read_message(source), schema))
        else:
            for batch in pa.ipc.open_stream(source):
                yield _validated(batch)
            source.seek(max(0, source.tell() - len(END_MARKER)))
            if source.read(len(END_MARKER)) != END_MARKER:
                yield f"truncated: the stream has no end marker; it was cut off at byte {file.size:,} or before"
    except Damage as error:
        if not is_damage(error):
            raise
        yield f"corrupt: {reason_of(error)}; the rows from here on are lost"


def _file_batches(batches: pa.RecordBatchFileReader, span: FileSpan) -> Iterator[pa.RecordBatch | str]:
    for index in range(span.start, batches.num_record_batches if span.end < 0 else span.end):
        try:
            yield _validated(batches.get_batch(index))
        except Damage as error:
            if not is_damage(error):
                raise
            yield f"corrupt: the rows of batch {index} are lost: {reason_of(error)}"


def _validated(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch if its buffers hold what its schema says. Strings are checked one by one later, as bytes.

    Raises: ArrowInvalid.
    """
    as_bytes = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}
    fields = [pa.field(field.name, as_bytes.get(field.type, field.type)) for field in batch.schema]
    arrays = [column.view(field.type) for column, field in zip(batch.columns, fields, strict=True)]
    checked = pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields, batch.schema.metadata))
    checked.validate(full=True)
    return checked


def _divide_file(source: pa.NativeFile, file: RawFile, span_bytes: int) -> list[FileSpan]:
    """Spans of equal numbers of batches; their rows are counted in parallel. Empty for a stream."""
    if source.read(len(FILE)) != FILE:
        source.seek(0)
        return []
    batches = pa.ipc.open_file(source).num_record_batches
    count = max(1, min(batches, file.size // span_bytes))
    borders = [batches * number // count for number in range(count + 1)]
    return [FileSpan(start, end) for start, end in zip(borders, borders[1:], strict=False)]


def _divide_stream(source: pa.NativeFile, span_bytes: int) -> list[FileSpan]:
    """Spans of bytes that begin with a batch; the headers of all messages are read. Empty if there are dictionaries."""
    schema = pa.ipc.open_stream(source).schema
    if any(types.is_dictionary(field.type) or types.is_nested(field.type) for field in schema):
        return []
    source.seek(0)
    pa.ipc.read_message(source)  # the schema
    spans: list[FileSpan] = []
    start = source.tell()
    while source.read(len(END_MARKER)) != END_MARKER:
        source.seek(start)
        rows = pa.ipc.read_record_batch(pa.ipc.read_message(source), schema).num_rows
        if not spans or spans[-1].end - spans[-1].start >= span_bytes:
            spans.append(FileSpan(start, start, 0))
        spans[-1] = spans[-1]._replace(end=source.tell(), records=spans[-1].records + rows)
        start = source.tell()
    return spans


def _data_files(files: list[RawFile]) -> list[RawFile]:
    """The files without the descriptions of `save_to_disk`, and, where there is a state.json, those that it lists.

    Raises: UserError if one of them is not there.
    """
    listed: dict[str, list[str]] = {}
    for file in files:
        folder, _, name = file.path.rpartition("/")
        if name == STATE:
            with open_bytes(file.path) as stream:
                listed[folder] = [item["filename"] for item in json.load(stream).get("_data_files", [])]
    by_path = {file.path: file for file in files}
    order = {f"{folder}/{name}": index for folder, names in listed.items() for index, name in enumerate(names)}
    for path in order:
        if path not in by_path:
            raise UserError(f"{path}: state.json lists it, but it is not there or no path matches it.")
    data = [file for file in files if file.path.rpartition("/")[2] not in DESCRIPTIONS]
    data = [file for file in data if file.path in order or file.path.rpartition("/")[0] not in listed]
    folder_of = {file.path: file.name.rpartition("/")[0].encode() for file in data}
    return sorted(data, key=lambda file: (folder_of[file.path], order.get(file.path, 0), file.name.encode()))


def _names(file: RawFile) -> list[str]:
    try:
        with open_arrow(file.path) as source:
            head = source.read(len(FILE))
            source.seek(0)
            batches = pa.ipc.open_file(source) if head == FILE else pa.ipc.open_stream(source)
            return column_names(batches.schema)
    except Damage:
        return []  # the run reports it
