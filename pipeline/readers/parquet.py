"""Parquet files: row group by row group, in batches of about 8 MiB, so that no group is in memory as a whole.

The position of a document is its row in the file, from 0. Files may have different columns: each is read by its own
schema. Checksums of pages are verified where there are any. A row group that is damaged is one bad record that says
which rows are lost; the groups behind it are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.files import RawFile
from pipeline.readers.base import BadRecord, FileSpan, Reader, Record
from pipeline.readers.columns import (
    BATCH_BYTES,
    MAX_BATCH_ROWS,
    ColumnRecords,
    Damage,
    column_names,
    is_damage,
    open_arrow,
    reason_of,
)
from pipeline.readers.fields import RecordFields, missing_text, sample
from pipeline.readers.parquet_layout import Chunk, page_problem, read_chunks
from pipeline.readers.section import ParquetFiles, Source, SourceParams

MAGIC = b"PAR1"


class Parquet(Reader):
    """Reads a document from each row."""

    format = "Parquet"
    magic = (MAGIC,)

    def __init__(self, options: SourceParams, *, max_record_bytes: int) -> None:
        super().__init__(options, max_record_bytes=max_record_bytes)
        self.fields = RecordFields(options["fields"])

    @property
    def left_out(self) -> int:
        return self.fields.left_out

    @classmethod
    def text_problem(cls, source: Source, files: Sequence[RawFile]) -> str | None:
        if not isinstance(source, ParquetFiles):
            return None
        names = [name for file in sample(files) for name in _names(file)]
        return missing_text(source.fields.text, names, "the files have no column")

    def divide(self, file: RawFile, span_bytes: int) -> Sequence[FileSpan]:
        spans: list[FileSpan] = []
        size = span_bytes
        try:
            with open_arrow(file.path) as source:
                metadata = pq.ParquetFile(source).metadata
        except Damage as error:
            if not is_damage(error):
                raise
            return ()  # reading the file says what is wrong
        for group in range(metadata.num_row_groups):
            group_metadata = metadata.row_group(group)
            size += group_metadata.total_byte_size
            if size > span_bytes:
                spans.append(FileSpan(group, group, 0))
                size = group_metadata.total_byte_size
            spans[-1] = spans[-1]._replace(end=group + 1, records=spans[-1].records + group_metadata.num_rows)
        return spans

    def read(self, file: RawFile, *, after: int = -1) -> Iterator[Record | BadRecord]:
        return self.read_span(file, FileSpan(0, -1), after=after)

    def read_span(self, file: RawFile, span: FileSpan, *, after: int = -1) -> Iterator[Record | BadRecord]:
        if file.size == 0:
            return
        with open_arrow(file.path) as source:
            try:
                metadata = pq.ParquetFile(source).metadata
                chunks = read_chunks(source)
                parquet = pq.ParquetFile(
                    source, metadata=metadata, buffer_size=1 << 20, pre_buffer=False, page_checksum_verification=True,
                    read_dictionary=_dictionary_columns(metadata, chunks),
                )  # fmt: skip
                groups = range(span.start, parquet.num_row_groups if span.end < 0 else span.end)
            except (*Damage, ValueError) as error:
                if not is_damage(error):
                    raise
                if after < 0:
                    yield _no_footer(file, source, error)
                return
            first = span.first
            for group in groups:
                rows = parquet.metadata.row_group(group).num_rows
                if first + rows - 1 > after:
                    # behind a URL it would be a request for each page
                    problems = (page_problem(source, chunk) for chunk in chunks[group] if "://" not in file.path)
                    yield from self._group(parquet, group, first, after, next(filter(None, problems), ""))
                first += rows
            if span.end < 0 and first != parquet.metadata.num_rows and first > after:
                yield BadRecord(first, "corrupt", f"the footer says {parquet.metadata.num_rows:,} rows", b"")

    def _group(
        self, parquet: pq.ParquetFile, group: int, first: int, after: int, problem: str
    ) -> Iterator[Record | BadRecord]:
        """The records of a row group whose first row has the position `first`; none if there is a problem."""
        metadata = parquet.metadata.row_group(group)
        rows = max(1, min(MAX_BATCH_ROWS, BATCH_BYTES * metadata.num_rows // max(1, metadata.total_byte_size)))
        columns = ColumnRecords(self.fields, self.max_record_bytes)
        position, end = first, first + metadata.num_rows
        try:
            if problem:
                raise pa.ArrowInvalid(problem)
            for batch in parquet.iter_batches(rows, row_groups=[group], use_threads=False):
                yield from columns.records(batch, position, after)
                position += batch.num_rows
            reason = f"row group {group} has {position - first:,} rows, not {metadata.num_rows:,}"
        except Damage as error:
            if not is_damage(error):
                raise
            reason = f"rows {position:,} to {end - 1:,} of row group {group} are lost: {reason_of(error)}"
        if position != end and min(position, end - 1) > after:
            yield BadRecord(min(position, end - 1), "corrupt", reason, b"")


def _dictionary_columns(metadata: pq.FileMetaData, groups: Sequence[Sequence[Chunk]]) -> list[str]:
    """The columns of bytes that have a dictionary. They stay dictionaries: a value that a tiny file repeats a million
    times is in memory once."""
    paths = [metadata.schema.column(index).path for index in range(metadata.num_columns)]
    named = {
        path for group in groups for path, chunk in zip(paths, group, strict=False)
        if chunk.is_bytes and chunk.has_dictionary
    }  # fmt: skip
    return sorted(named)


def _no_footer(file: RawFile, source: pa.NativeFile, error: BaseException) -> BadRecord:
    """Why a file cannot be read at all: its footer lies at its end, so a file that was cut has none."""
    tail = min(file.size, len(MAGIC))
    source.seek(file.size - tail)
    if source.read(tail) != MAGIC:
        detail = f"the file has no footer: it was cut off or is not Parquet; nothing of its {file.size:,} bytes is read"
        return BadRecord(0, "truncated", detail, b"")
    return BadRecord(0, "corrupt", f"the footer cannot be read: {reason_of(error)}", b"")


def _names(file: RawFile) -> list[str]:
    try:
        with open_arrow(file.path) as source:
            return column_names(pq.read_schema(source))
    except Damage:
        return []  # the run reports it
