"""The chunks of an ingest task: documents are written as they are read, 64 MB a file, each chunk kept alone.

A chunk's result (tasks/chunks/<task>-<n>.json) says what it holds and where the next one begins: the raw file and the
position of the last record. A killed task reads its chunks' results and skips forward.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.core.errors import BloomeryError, StageFailed
from pipeline.core.files import RawFile, read_json, write_json
from pipeline.core.records import DOCUMENTS, QUARANTINE
from pipeline.core.shards import ShardWriter
from pipeline.core.stage import Job
from pipeline.readers import reader as reader_of
from pipeline.readers.base import Bad, Reader, Record
from pipeline.readers.batch import Batch

CHUNK_BYTES = 64 << 20
EXAMPLES = 3
Found = tuple[int, Record | Bad]
"""The number of the raw file within the task, and what was read."""


def read_chunks(job: Job, key: str, options: dict[str, Any], files: list[RawFile]) -> list[dict[str, Any]]:
    """Every chunk of a task, those of earlier attempts first; each is a JSON-able result."""
    chunks = list(_finished(job, key))
    if chunks and chunks[-1]["next"] is None:
        return chunks
    reader = reader_of(options, max_record_bytes=job.params["max_record_bytes"])
    first, after = chunks[-1]["next"] if chunks else (0, -1)
    found = _read(job, reader, files, first, after)
    while not chunks or chunks[-1]["next"] is not None:
        chunk = _Chunk(job, f"{key}-{len(chunks):06d}", Batch(options["name"], options["language"]), files)
        result = chunk.fill(found)
        result["left_out"], reader.left_out = reader.left_out, 0
        write_json(_result(job, key, len(chunks)), result)
        chunks.append(result)
        if result["next"] is not None:
            job.progress.note("read", f"{files[result['next'][0]].name}: {len(chunks)} chunks so far")
    return chunks


def _result(job: Job, key: str, index: int) -> Path:
    folder = job.folder / "tasks" / "chunks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{key}-{index:06d}.json"


def _finished(job: Job, key: str) -> Iterator[dict[str, Any]]:
    index = 0
    while (path := _result(job, key, index)).exists():
        yield read_json(path)
        index += 1


def _read(job: Job, reader: Reader, files: list[RawFile], first: int, after: int) -> Iterator[Found]:
    """What the files hold, from the record behind `after` of file `first` on.

    Raises: StageFailed that names the file and the last record read, when reading itself fails.
    """
    for index in range(first, len(files)):
        file, last = files[index], after if index == first else -1
        try:
            _is_as_planned(file)
            for found in reader.read(file, after=last):
                last = found.position
                yield index, found
        except BloomeryError:
            raise
        except OSError as error:
            why = error.strerror or str(error)
            raise StageFailed(f"{job.stage}: {file.name} cannot be read: {why}. Check it and run again.") from error
        except Exception as error:
            where = f"{file.name}, after record {last}" if last >= 0 else file.name
            what = f"{type(error).__name__}: {error}"
            raise StageFailed(f"{job.stage}: {where}: the reader failed: {what}. Please report this.") from error


def _is_as_planned(file: RawFile) -> None:
    if "://" in file.path:
        return
    status = Path(file.path).stat()
    if status.st_size != file.size or file.mtime not in (0.0, status.st_mtime):
        raise StageFailed(f"ingest: {file.name} has changed since the run was planned. Run the same command again.")


class _Chunk:
    """One chunk file of documents, the quarantine file beside it, and their counts."""

    def __init__(self, job: Job, stem: str, batch: Batch, files: list[RawFile]) -> None:
        self.batch, self.files = batch, files
        self.documents = ShardWriter(job.folder, "parts", stem, DOCUMENTS)
        self.quarantine = ShardWriter(job.folder, "quarantine", stem, QUARANTINE)
        self.size = self.text_bytes = 0
        self.records: dict[str, list[int]] = {}
        self.reasons: Counter[str] = Counter()
        self.languages: Counter[str] = Counter()
        self.examples: list[str] = []

    def fill(self, source: Iterator[Found]) -> dict[str, Any]:
        """Take from `source` until the chunk is full or the source is at its end."""
        position: list[int] | None = None
        with self.documents, self.quarantine:
            for index, found in source:
                self._take(self.files[index].name, found)
                if self.batch.full:
                    self._cut()
                    if self.size >= CHUNK_BYTES:
                        position = [index, found.position]
                        break
            self._cut()
        entries = [writer.entry for writer in (self.documents, self.quarantine) if writer.entry]
        return {
            "files": [entry.to_dict() for entry in entries], "next": position, "records": self.records,
            "reasons": dict(self.reasons), "languages": dict(self.languages), "text_bytes": self.text_bytes,
            "examples": self.examples,
        }  # fmt: skip

    def _take(self, name: str, found: Record | Bad) -> None:
        held = self.records.setdefault(name, [0, 0])
        held[0] += 1
        if isinstance(found, Record):
            self.batch.add(name, found)
            return
        held[1] += 1
        self.batch.reject(name, found)
        self.reasons[found.reason] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{name}:{found.position}: {found.reason}, {found.detail}")

    def _cut(self) -> None:
        """Write the batch as a row group of each file and begin another."""
        batch, self.batch = self.batch, Batch(self.batch.source, self.batch.language)
        if batch.records:
            table = batch.documents()
            self.documents.write(table)
            for found in table["language"].value_counts().to_pylist():
                self.languages[found["values"] or "unknown"] += found["counts"]
        self.quarantine.write(batch.quarantine())
        self.text_bytes += batch.text_bytes
        self.size += batch.size
