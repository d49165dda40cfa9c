"""The chunks of an ingest task: documents are written while they are read, as files of 64 MB that are complete alone.

The result of a chunk (<task>-<n> of the step "chunks") says what the chunk holds and where the next one begins: the raw
file and the position of the last record. A task that was killed reads the results of its chunks and continues there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NotRequired, TypedDict, cast

from pipeline.core.draft import relative_to
from pipeline.core.errors import BloomeryError, StageFailed
from pipeline.core.files import RawFile, recording
from pipeline.core.job import Job
from pipeline.core.records import DOCUMENTS, QUARANTINE
from pipeline.core.shards import EntryFields, ShardWriter
from pipeline.readers import create_reader
from pipeline.readers.base import AnyRecord, FileSpan, Reader, Record, Skipped
from pipeline.readers.batch import Batch
from pipeline.readers.section import SourceParams

CHUNK_BYTES = 64 << 20
EXAMPLES = 3
CHUNKS = "chunks"  # the step that their results are kept under
IndexedRecord = tuple[int, AnyRecord]
"""The index of the raw file within the task, and a record of it."""


class ChunkResult(TypedDict):
    """What a chunk holds. `next`: index of a raw file and a position in it, or None at the end of the task.

    `records`: for each raw file the number of records and how many of them are bad. `examples`: the first bad records,
    for error messages. `left_out`: fields that metadata cannot hold. `skipped`: records that are no documents, for each
    raw file by reason, and `truncated`, documents that are known to be cut, by what says so; absent if there is none.
    """

    files: list[EntryFields]
    next: list[int] | None
    records: dict[str, list[int]]
    reasons: dict[str, int]
    languages: dict[str, int]
    text_bytes: int
    examples: list[str]
    left_out: int
    skipped: NotRequired[dict[str, dict[str, int]]]
    truncated: NotRequired[dict[str, int]]


def read_chunks(
    job: Job, key: str, options: SourceParams, files: list[RawFile], span: FileSpan | None = None
) -> list[ChunkResult]:
    """Read the raw files of a task, or a span of the only one, into chunks. Finished chunks are not read again."""
    results = list(_finished_chunks(job, key))
    if results and results[-1]["next"] is None:
        return results
    reader = create_reader(options, max_record_bytes=job.params["max_record_bytes"])
    file_index, after = (results[-1]["next"] if results else None) or (0, -1)
    records = _read_records(job, reader, files, (file_index, after), span)
    while not results or results[-1]["next"] is not None:
        stem = f"{key}-{len(results):06d}"
        with recording() as written:
            result = _Chunk(job, stem, Batch(options["name"], options["language"]), files).fill(records, reader)
        job.draft.keep(CHUNKS, stem, dict(result), relative_to(job.folder, written))
        results.append(result)
        if result["next"] is not None:
            job.progress.note("read", f"{files[result['next'][0]].name}: {len(results)} chunks so far")
    return results


def _finished_chunks(job: Job, key: str) -> Iterator[ChunkResult]:
    results = job.draft.results(CHUNKS)
    index = 0
    while (result := results.get(f"{key}-{index:06d}")) is not None:
        yield cast(ChunkResult, result)
        index += 1


def _read_records(
    job: Job, reader: Reader, files: list[RawFile], start: tuple[int, int], span: FileSpan | None
) -> Iterator[IndexedRecord]:
    """Yield the records of the files, from a file and a position in it on: `start`.

    Raises: StageFailed that names the file and the position of the last record, when the reader fails.
    """
    first_file, after = start
    for index in range(first_file, len(files)):
        file = files[index]
        position = after if index == first_file else -1
        try:
            _check_unchanged(file)
            records = reader.read_span(file, span, after=position) if span else reader.read(file, after=position)
            for record in records:
                position = record.position
                yield index, record
        except BloomeryError:
            raise
        except OSError as error:
            reason = error.strerror or str(error)
            raise StageFailed(f"{job.stage}: {file.name} cannot be read: {reason}. Check it and run again.") from error
        except Exception as error:
            place = f"{file.name}, after record {position}" if position >= 0 else file.name
            message = f"{type(error).__name__}: {error}"
            raise StageFailed(f"{job.stage}: {place}: the reader failed: {message}. Please report this.") from error


def _check_unchanged(file: RawFile) -> None:
    """Check that a local file still has the size and time that the plan recorded."""
    if "://" in file.path:
        return
    status = Path(file.path).stat()
    if status.st_size != file.size or file.mtime not in (0.0, status.st_mtime):
        raise StageFailed(f"ingest: {file.name} has changed since the run was planned. Run the same command again.")


class _Chunk:
    """One chunk file of documents, the quarantine file beside it, and their counts."""

    def __init__(self, job: Job, stem: str, batch: Batch, files: list[RawFile]) -> None:
        self.batch = batch
        self.files = files
        self.documents = ShardWriter(job.folder, "parts", stem, DOCUMENTS)
        self.quarantine = ShardWriter(job.folder, "quarantine", stem, QUARANTINE)
        self.size = 0
        self.text_bytes = 0
        self.records: dict[str, list[int]] = {}
        self.reasons: Counter[str] = Counter()
        self.languages: Counter[str] = Counter()
        self.examples: list[str] = []
        self.skipped: dict[str, Counter[str]] = {}

    def fill(self, records: Iterator[IndexedRecord], reader: Reader) -> ChunkResult:
        """Take records until the chunk is full or none is left."""
        left_out_before, truncated_before = reader.left_out, Counter(reader.truncated)
        next_position: list[int] | None = None
        with self.documents, self.quarantine:
            for index, record in records:
                self._add(self.files[index].name, record)
                if self.batch.full:
                    self._write_batch()
                    if self.size >= CHUNK_BYTES:
                        next_position = [index, record.position]
                        break
            self._write_batch()
        entries = [writer.entry for writer in (self.documents, self.quarantine) if writer.entry]
        result: ChunkResult = {
            "files": [entry.to_dict() for entry in entries], "next": next_position, "records": self.records,
            "reasons": dict(self.reasons), "languages": dict(self.languages), "text_bytes": self.text_bytes,
            "examples": self.examples, "left_out": reader.left_out - left_out_before,
        }  # fmt: skip
        if self.skipped:
            result["skipped"] = {name: dict(reasons) for name, reasons in self.skipped.items()}
        if truncated := Counter(reader.truncated) - truncated_before:
            result["truncated"] = dict(truncated)
        return result

    def _add(self, name: str, record: AnyRecord) -> None:
        counts = self.records.setdefault(name, [0, 0])
        counts[0] += 1
        if isinstance(record, Record):
            self.batch.add(name, record)
            return
        if isinstance(record, Skipped):
            self.skipped.setdefault(name, Counter())[record.reason] += 1
            return
        counts[1] += 1
        self.batch.reject(name, record)
        self.reasons[record.reason] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{name}:{record.position}: {record.reason}, {record.detail}")

    def _write_batch(self) -> None:
        """Write the batch as a row group of each file and start an empty one."""
        batch = self.batch
        self.batch = Batch(batch.source, batch.language)
        if batch.records:
            table = batch.documents()
            self.documents.write(table)
            for count in table["language"].value_counts().to_pylist():
                self.languages[count["values"] or "unknown"] += count["counts"]
        self.quarantine.write(batch.quarantine())
        self.text_bytes += batch.text_bytes
        self.size += batch.size
