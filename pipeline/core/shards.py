"""Sets of Parquet files of one kind: one writer with pinned options, read back row group by row group.

The writer hashes bytes and values while it writes, so nothing is read twice. The same tables give the same bytes: a row
group per `write` call, zstd level 1, no statistics, no pandas metadata. About 300 MB of text a CPU-second (README).
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import IO, NotRequired, TypedDict

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.content import ContentHash
from pipeline.core.counts import BySource, DroppedBy
from pipeline.core.draft import Draft
from pipeline.core.drop_counts import DropCounter, merged_drops
from pipeline.core.errors import StageFailed
from pipeline.core.files import TEMPORARY, JsonObject, note_written
from pipeline.core.records import DOCUMENTS, current_types
from pipeline.core.source_counts import SourceCounter, merged

# few distinct values: a dictionary pays; elsewhere it only costs a hash table
DICTIONARY = ("source", "language", "stage", "rule", "method", "reason", "file", "finder")


DROPPED_FOLDERS = ("rejected/", "duplicates/")


class EntryFields(TypedDict):
    """A FileEntry in JSON."""

    path: str
    bytes: int
    rows: int | None
    sha256: str
    content: str
    sources: NotRequired[BySource]
    dropped: NotRequired[DroppedBy]


@dataclass(frozen=True)
class FileEntry:
    """A recorded file. `path` is relative to the artifact; `content` hashes the values, whatever Parquet library.

    `sources`: of a file of documents, what it holds by source and language; `dropped`: of a file of dropped ones, by
    reason. No manifest lists them file by file.
    """

    path: str
    bytes: int
    rows: int | None
    sha256: str
    content: str
    sources: BySource | None = field(default=None, compare=False)
    dropped: DroppedBy | None = field(default=None, compare=False)

    def to_dict(self) -> EntryFields:
        entry = EntryFields(
            path=self.path, bytes=self.bytes, rows=self.rows, sha256=self.sha256, content=self.content
        )  # fmt: skip
        if self.sources is not None:
            entry["sources"] = self.sources
        if self.dropped is not None:
            entry["dropped"] = self.dropped
        return entry

    @classmethod
    def from_dict(cls, value: EntryFields) -> FileEntry:
        return cls(**value)


class HashingFile:
    """A file that hashes what is written to it; what ParquetWriter needs of a file and no more."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.sha256, self.size, self.closed = stream, hashlib.sha256(), 0, False

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data)
        self.sha256.update(view)
        self.size += view.nbytes
        return self.stream.write(view)

    def flush(self) -> None:
        self.stream.flush()

    def tell(self) -> int:
        return self.size

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True


class ShardWriter:
    """Write one Parquet file: `with ShardWriter(folder, "parts", stem, schema) as shard: shard.write(table)`.

    The file appears as <folder>/<kind>/<stem>-<first 8 of sha256>.parquet when the block ends well; afterwards `entry`
    is its FileEntry, or None if no row was written (then there is no file). Each `write` is one row group, so what is
    given to it must follow from content alone, never from the number of workers.
    """

    def __init__(self, folder: Path, kind: str, stem: str, schema: pa.Schema) -> None:
        self.folder, self.kind, self.stem, self.schema = folder, kind, stem, schema
        self.rows = 0
        self.entry: FileEntry | None = None
        self._writer: pq.ParquetWriter | None = None
        self._counter = SourceCounter() if schema == DOCUMENTS else None
        self._drops: DropCounter | None = None

    def __enter__(self) -> ShardWriter:
        (self.folder / self.kind).mkdir(parents=True, exist_ok=True)
        name = f".{self.stem}.{os.getpid()}-{threading.get_ident()}{TEMPORARY}"
        self._beside = self.folder / self.kind / name
        self._stream = self._beside.open("wb")
        self._file = HashingFile(self._stream)
        self._content = ContentHash()
        return self

    def write(self, table: pa.Table, *, dropped_from: pa.Table | None = None) -> None:
        """Append a row group; columns are put in the schema's order and cast to its types. Nothing for no rows.

        `dropped_from`: the documents among which those are that the rows say were dropped, to count them by language.
        """
        if not table.num_rows:
            return
        if table.schema != self.schema:
            table = table.select(self.schema.names).cast(self.schema)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._file, self.schema, **parquet_options(self.schema))
        self._writer.write_table(table, row_group_size=table.num_rows)
        self._content.update(table)
        if self._counter is not None:
            self._counter.add(table)
        if dropped_from is not None:
            self._drops = self._drops or DropCounter()
            self._drops.add(table, dropped_from)
        self.rows += table.num_rows

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._writer is not None:
                self._writer.close()
            if error is None and self.rows:
                self._publish()
        finally:
            self._stream.close()
            self._beside.unlink(missing_ok=True)

    def _publish(self) -> None:
        self._stream.flush()
        os.fsync(self._stream.fileno())
        sha256 = self._file.sha256.hexdigest()
        path = f"{self.kind}/{self.stem}-{sha256[:8]}.parquet"
        self._beside.replace(self.folder / path)
        note_written(self.folder / path)
        sources = None if self._counter is None else self._counter.result()
        dropped = None if self._drops is None else self._drops.result()
        self.entry = FileEntry(path, self._file.size, self.rows, sha256, self._content.hexdigest(), sources, dropped)


def parquet_options(schema: pa.Schema) -> JsonObject:
    """The pinned options of pyarrow's ParquetWriter: the same tables give the same bytes."""
    return {
        "compression": "zstd",
        "compression_level": 1,
        "version": "2.6",
        "data_page_version": "1.0",
        "use_dictionary": [name for name in schema.names if name in DICTIONARY],
        "write_statistics": False,
        "write_batch_size": 1024,
    }


def number(draft: Draft, entries: Sequence[FileEntry], *, part: int = 0) -> list[FileEntry]:
    """Rename finished files, in this order, to <part:04>-<index:06>-<first 8 of sha256>.parquet; counted by subfolder.

    May be interrupted and called again: a file that already bears its new name is taken as it is.
    """
    counts: dict[str, int] = defaultdict(int)
    numbered = []
    for entry in entries:
        kind, _, _ = entry.path.rpartition("/")
        new = f"{kind}/{part:04d}-{counts[kind]:06d}-{entry.sha256[:8]}.parquet"
        counts[kind] += 1
        draft.rename(entry.path, new)
        numbered.append(replace(entry, path=new))
    return numbered


def documents_by_source(entries: Sequence[FileEntry]) -> BySource | None:
    """What the files of documents hold by source and language; None if one of them was written by an earlier version.

    That may be so where a stage is resumed.
    """
    documents = [entry.sources for entry in entries if entry.path.startswith("parts/")]
    counts = [sources for sources in documents if sources is not None]
    return merged(counts) if counts and len(counts) == len(documents) else None


def documents_dropped(entries: Sequence[FileEntry]) -> DroppedBy | None:
    """The dropped documents by reason, and by language and source; None where no file of them is counted.

    None too if one of them was written by an earlier version, which may be so where a stage is resumed.
    """
    files = [entry.dropped for entry in entries if entry.path.startswith(DROPPED_FOLDERS)]
    counts = [dropped for dropped in files if dropped is not None]
    return merged_drops(counts) if counts and len(counts) == len(files) else None


def entry_of(folder: Path, path: str) -> FileEntry:
    """The entry of a file that is not Parquet; its content is its bytes."""
    target = folder / path
    digest = hashlib.sha256()
    with target.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return FileEntry(path, target.stat().st_size, None, digest.hexdigest(), digest.hexdigest())


def write_table(folder: Path, path: str, table: pa.Table) -> FileEntry:
    """Write one small Parquet file under exactly this name (no hash in it), whole or not at all."""
    kind, _, name = path.rpartition("/")
    with ShardWriter(folder, kind or ".", name, table.schema) as shard:
        shard.write(table)
    if shard.entry is None:
        raise StageFailed(f"{path}: there is no row to write.")
    (folder / shard.entry.path).replace(folder / path)
    note_written(folder / path)
    entry = shard.entry
    return FileEntry(path, entry.bytes, entry.rows, entry.sha256, entry.content)


def batches(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The row groups of a file, one at a time: memory is bounded by a row group, whatever the size of the file.

    Documents of earlier versions come with the types of today, so no caller needs to know of the older ones.
    """
    with pq.ParquetFile(path, pre_buffer=False) as file:
        for index in range(file.num_row_groups):
            table = file.read_row_group(index, columns=None if columns is None else list(columns), use_threads=False)
            yield current_types(table)


def rows(path: Path) -> int:
    """Rows of a file, from its footer."""
    return int(pq.read_metadata(path).num_rows)


def column_bytes(path: Path, name: str) -> int:
    """Uncompressed bytes of a column, from the footer of its file."""
    footer = pq.read_metadata(path)
    column = footer.schema.to_arrow_schema().names.index(name)
    return sum(footer.row_group(group).column(column).total_uncompressed_size for group in range(footer.num_row_groups))
