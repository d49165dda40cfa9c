"""The first steps of ingest: large raw files are divided into spans, so that one file keeps all workers busy.

`divide` asks the reader of every large file for spans; `count` counts the positions in those whose reader does not know
them yet, so that a document has the same position, and id, as if its file had been read whole. Both depend on the bytes
of the file alone. A corpus without large files has neither step.
Cost: see `pipeline/readers/divisions.py`; counting lines reads 1.8 GB of plain text per CPU-second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypedDict, TypeVar, cast

from pipeline.beam.run import run_tasks
from pipeline.beam.task import Task
from pipeline.core.errors import StageFailed
from pipeline.core.files import RawFile
from pipeline.core.job import Job, SourceFile
from pipeline.readers import create_reader
from pipeline.readers.base import FileSpan, Reader
from pipeline.readers.section import SourceParams

T = TypeVar("T")
SPAN_BYTES = 64 << 20  # of content
LARGE_BYTES = 128 << 20  # of estimated content, from which on a file is divided
COMPRESSED = (".gz", ".zst", ".xz", ".bz2", ".parquet")
USUAL_RATIO = 4  # of text to its compressed bytes; decides which files share a task and which are divided
Spans = Mapping[tuple[int, str], list[FileSpan]]
"""The spans of the files that are divided, by the index of their source and their name."""


class GroupedFile(TypedDict):
    """A raw file in the payload of a task."""

    path: str
    name: str
    size: int
    mtime: float


class LargeFile(TypedDict):
    """The payload of a task: a file of a source, or a span of it."""

    source: int
    file: GroupedFile
    span: FileSpan | None


class SpanResult(TypedDict):
    """What `divide` and `count` found: spans, where those counted have their records and whether a line is open."""

    spans: list[FileSpan]
    is_open: bool


def divide_files(job: Job) -> Spans:
    """The spans of every large file that its reader can divide.

    Raises: StageFailed if a file cannot be read.
    """
    files = [
        (index, file) for index, source in enumerate(job.sources) for file in source["files"]
        if content_bytes(file) >= LARGE_BYTES
    ]  # fmt: skip
    results = _run(job, "divide", [(index, grouped(file), None) for index, file in files], divide_file)
    spans = {
        (index, file["name"]): [FileSpan(*span) for span in result["spans"]]
        for (index, file), result in zip(files, results, strict=True)
        if len(result["spans"]) > 1
    }
    uncounted: list[tuple[int, GroupedFile, FileSpan | None]] = [
        (index, grouped(file), span)
        for index, file in files
        for span in spans.get((index, file["name"]), ())
        if span.records < 0
    ]
    counts = {
        (index, file["name"], result["spans"][0][0]): (FileSpan(*result["spans"][0]), result["is_open"])
        for (index, file, _), result in zip(uncounted, _run(job, "count", uncounted, count_span), strict=True)
    }
    return {key: _numbered(key, file_spans, counts) for key, file_spans in spans.items()}


def divide_file(job: Job, task: Task[LargeFile]) -> SpanResult:
    """Divide one file."""
    reader, file = _reader(job, task), RawFile(**task.payload["file"])
    return {"spans": _checked(job, file, lambda: list(reader.divide(file, SPAN_BYTES))), "is_open": False}


def count_span(job: Job, task: Task[LargeFile]) -> SpanResult:
    """Count the positions of one span."""
    reader, file = _reader(job, task), RawFile(**task.payload["file"])
    span = FileSpan(*task.payload["span"] or ())
    records, is_open = _checked(job, file, lambda: reader.count(file, span))
    return {"spans": [span._replace(records=records)], "is_open": is_open}


def params_of(job: Job, index: int) -> SourceParams:
    """The parameters of a source of the job, by its index."""
    name = job.sources[index]["source"]
    return cast(SourceParams, next(params for params in job.params["sources"] if params["name"] == name))


def content_bytes(file: SourceFile | GroupedFile) -> int:
    """An estimate of the content of a file."""
    return file["size"] * (USUAL_RATIO if file["name"].endswith(COMPRESSED) else 1)


def grouped(file: SourceFile) -> GroupedFile:
    """A raw file of the plan as the payload of a task holds it."""
    return {"path": file["path"], "name": file["name"], "size": file["size"], "mtime": file.get("mtime", 0.0)}


def _run(
    job: Job, step: str, parts: list[tuple[int, GroupedFile, FileSpan | None]],
    work: Callable[[Job, Task[LargeFile]], SpanResult],
) -> list[SpanResult]:  # fmt: skip
    tasks: list[Task[LargeFile]] = [
        Task(f"{number:06d}", file["size"] if span is None else 1, {"source": index, "file": file, "span": span})
        for number, (index, file, span) in enumerate(parts)
    ]
    return run_tasks(job, step, tasks, work) if tasks else []


def _numbered(
    key: tuple[int, str], spans: list[FileSpan], counts: Mapping[tuple[int, str, int], tuple[FileSpan, bool]]
) -> list[FileSpan]:
    """The spans of one file with the number of positions before each."""
    numbered: list[FileSpan] = []
    first = 0
    continues = False
    for span in spans:
        counted, is_open = counts.get((*key, span.start), (span, False))
        numbered.append(counted._replace(first=first, continues=continues))
        first += counted.records
        # a span without a single byte leaves a line open that was open before
        continues = is_open or (continues and counted.records == 0)
    return numbered


def _reader(job: Job, task: Task[LargeFile]) -> Reader:
    options = params_of(job, task.payload["source"])
    return create_reader(options, max_record_bytes=job.params["max_record_bytes"])


def _checked(job: Job, file: RawFile, work: Callable[[], T]) -> T:
    try:
        return work()
    except OSError as error:
        reason = error.strerror or str(error)
        raise StageFailed(f"{job.stage}: {file.name} cannot be read: {reason}. Check it and run again.") from error
