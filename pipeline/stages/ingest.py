"""The ingest stage: raw files become documents; a record that cannot become one goes to the quarantine.

Small raw files share a task. A large one is divided into spans, each a task of its own (`divide.py`), where its format
allows it. A task yields chunk files of 64 MB. Finished chunks are kept, so a killed task continues after the last one.
Spans and chunks depend on content alone: the bytes are the same with any number of workers. Memory of a worker: a batch
of 8 MiB and the longest record. Cost: see tests/benchmarks/bench_ingest.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import NotRequired, TypedDict

from pipeline.beam.run import run_tasks
from pipeline.beam.task import Isolation, Task
from pipeline.core.counts import RecordCounts, StageCounts
from pipeline.core.errors import StageFailed
from pipeline.core.files import RawFile, write_json
from pipeline.core.hub import commit_of
from pipeline.core.job import Job, StageOutput
from pipeline.core.journal import JournalLine
from pipeline.core.shards import FileEntry, entry_of, number
from pipeline.readers import READERS
from pipeline.readers.base import FileSpan
from pipeline.stages.chunks import ChunkResult, read_chunks
from pipeline.stages.divide import GroupedFile, Spans, content_bytes, divide_files, grouped, params_of

GROUP_BYTES = 16 << 20
PROCESSES_BYTES = 256 << 20  # JSON holds the GIL for half of the work; below this, starting processes costs more
RAW_FILE = "raw.json"


class FileGroup(TypedDict):
    """The payload of a task. `source` is the index of a source of the job; `span` a part of the only file, or null."""

    source: int
    files: list[GroupedFile]
    span: FileSpan | None


class GroupResult(TypedDict):
    """The result of a task."""

    chunks: list[ChunkResult]


class RawFileRecord(TypedDict):
    """An entry of raw.json: a raw file and how many records it has. It holds no path of this machine.

    `skipped`: how many of the records are no documents; absent if there is none.
    """

    source: str
    name: str
    bytes: int
    sha256: str
    records: int
    quarantined: int
    skipped: NotRequired[int]


def run(job: Job) -> StageOutput:
    """Read every source. The artifact holds parts/, quarantine/ and raw.json.

    Raises: StageFailed when too many records are bad, when there is no document, or when a raw file cannot be read.
    """
    spans = divide_files(job)
    tasks = [task for index in range(len(job.sources)) for task in _group_files(job, index, spans)]
    results = _run_groups(job, tasks)
    chunks = [chunk for task in tasks for chunk in results[task.key]["chunks"]]
    counts: StageCounts = {**_count(job, chunks), "records_by_source": _records_by_source(job, tasks, results)}
    if truncated := sum((Counter(chunk.get("truncated", {})) for chunk in chunks), Counter()):
        counts["truncated"] = dict(sorted(truncated.items()))
    _check_limits(job, counts, chunks)
    entries = [FileEntry.from_dict(entry) for chunk in chunks for entry in chunk["files"]]
    files = number(job.draft, entries)
    write_json(job.folder / RAW_FILE, _raw_file_records(job, tasks, results))
    return StageOutput([*files, entry_of(job.folder, RAW_FILE)], counts, journal=_journal(job))


def _journal(job: Job) -> JournalLine:
    """The commits that were read, where files are of a hub. Not in raw.json: what was read is its sha256, wherever."""
    files = (commit_of(file["path"]) for source in job.sources for file in source["files"])
    commits: dict[str, list[str]] = {}
    for each in sorted({each for each in files if each is not None}):
        commits.setdefault(each.repository, []).append(each.commit)
    return JournalLine(commits=commits) if commits else JournalLine()


def read_files(job: Job, task: Task[FileGroup]) -> GroupResult:
    """Read the raw files of one task, in order, into chunks. Chunks that are finished are not read again."""
    options = params_of(job, task.payload["source"])
    files = [RawFile(**file) for file in task.payload["files"]]
    span = FileSpan(*task.payload["span"]) if task.payload["span"] else None
    return {"chunks": read_chunks(job, task.key, options, files, span)}


def _group_files(job: Job, index: int, spans: Spans) -> Iterator[Task[FileGroup]]:
    """Group the raw files of a source, in the order of their names, up to GROUP_BYTES of estimated content.

    A file that is divided has a task for each span.
    """
    group: list[GroupedFile] = []
    size = 0
    numbers = count()
    for file in job.sources[index]["files"]:
        file_spans = spans.get((index, file["name"]))
        if group and (file_spans or size + content_bytes(file) > GROUP_BYTES):
            yield _task(index, next(numbers), group)
            group = []
            size = 0
        for span in file_spans or ():
            task = _task(index, next(numbers), [grouped(file)], span)
            yield replace(task, size=file["size"] // len(file_spans or ()))
        if not file_spans:
            group.append(grouped(file))
            size += content_bytes(file)
    if group:
        yield _task(index, next(numbers), group)


def _task(source: int, index: int, files: list[GroupedFile], span: FileSpan | None = None) -> Task[FileGroup]:
    size = sum(file["size"] for file in files)
    return Task(f"{source:03d}-{index:06d}", size, {"source": source, "files": files, "span": span})


def _run_groups(job: Job, tasks: list[Task[FileGroup]]) -> dict[str, GroupResult]:
    """Run all tasks; results by key. Readers that parse code always run in processes, others where that is faster."""
    results: dict[str, GroupResult] = {}
    for reader_isolation, step in (("threads", "read"), ("processes", "parse")):
        step_tasks = [task for task in tasks if _isolation_of(job, task) == reader_isolation]
        if not step_tasks:
            continue
        pays = job.workers > 1 and sum(map(_content_of, step_tasks)) >= PROCESSES_BYTES
        isolation: Isolation = "processes" if pays or reader_isolation == "processes" else "threads"
        step_results = run_tasks(job, step, step_tasks, read_files, isolation=isolation)
        results.update(zip((task.key for task in step_tasks), step_results, strict=True))
    return results


def _content_of(task: Task[FileGroup]) -> int:
    """An estimate of the content of a task, whose size is that of its raw bytes."""
    files = task.payload["files"]
    return task.size * sum(map(content_bytes, files)) // max(1, sum(file["size"] for file in files))


def _isolation_of(job: Job, task: Task[FileGroup]) -> Isolation:
    params = params_of(job, task.payload["source"])
    return READERS.load(params["reader"]).isolation


def _count(job: Job, chunks: list[ChunkResult]) -> StageCounts:
    reasons: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    for chunk in chunks:
        reasons.update(chunk["reasons"])
        languages.update(chunk["languages"])
        for file_reasons in chunk.get("skipped", {}).values():
            skipped.update(file_reasons)
        for entry in chunk["files"]:
            rows[entry["path"].partition("/")[0]] += entry["rows"] or 0
    return {
        "in": sum(records for chunk in chunks for records, _ in chunk["records"].values()),
        "out": rows["parts"],
        "dropped": dict(sorted(skipped.items())),
        "quarantined": rows["quarantine"],
        "reasons": dict(sorted(reasons.items())),
        "languages": dict(sorted(languages.items())),
        "raw_files": sum(len(source["files"]) for source in job.sources),
        "raw_bytes": sum(file["size"] for source in job.sources for file in source["files"]),
        "text_bytes": sum(chunk["text_bytes"] for chunk in chunks),
        "fields_left_out": sum(chunk["left_out"] for chunk in chunks),
    }


def _records_by_source(
    job: Job, tasks: list[Task[FileGroup]], results: dict[str, GroupResult]
) -> dict[str, RecordCounts]:
    """The records of each source, and why some of them are no documents."""
    counts: dict[str, RecordCounts] = {
        source["source"]: {"records": 0, "quarantined": {}, "skipped": {}} for source in job.sources
    }
    for task in tasks:
        of_source = counts[job.sources[task.payload["source"]]["source"]]
        for chunk in results[task.key]["chunks"]:
            of_source["records"] += sum(records for records, _ in chunk["records"].values())
            _add(of_source["quarantined"], chunk["reasons"])
            for skipped in chunk.get("skipped", {}).values():
                _add(of_source["skipped"], skipped)
    return counts


def _add(total: dict[str, int], counts: dict[str, int]) -> None:
    for name, number_of_records in counts.items():
        total[name] = total.get(name, 0) + number_of_records


def _check_limits(job: Job, counts: StageCounts, chunks: list[ChunkResult]) -> None:
    """Fail the stage if too many records are bad or if there is no document. The message shows examples."""
    limit = job.params["max_bad_fraction"]
    examples = "; ".join([example for chunk in chunks for example in chunk["examples"]][:3])
    reasons = ", ".join(f"{reason} {records:,}" for reason, records in counts["reasons"].items())
    candidates = counts["in"] - sum(counts["dropped"].values())
    if counts["quarantined"] > limit * candidates:
        percent = 100 * counts["quarantined"] / candidates
        raise StageFailed(
            f"ingest: {counts['quarantined']:,} of {candidates:,} records are bad ({percent:.3g} %; {reasons}), more"
            f" than ingest.max_bad_fraction={limit:g} allows. The first: {examples}. Repair the files, or raise the"
            " limit."
        )
    if not counts["out"]:
        raise StageFailed(
            f"ingest: no document: {_why_none(counts, candidates, examples)}. Check the reader and the text field of"
            " each source in ingest.sources."
        )


def _why_none(counts: StageCounts, candidates: int, examples: str) -> str:
    if candidates:
        return f"all {candidates:,} records are bad: {examples}"
    if counts["in"]:
        return "all records were skipped: " + ", ".join(f"{name} {n:,}" for name, n in counts["dropped"].items())
    return "the raw files hold no record"


def _raw_file_records(job: Job, tasks: list[Task[FileGroup]], results: dict[str, GroupResult]) -> list[RawFileRecord]:
    """The content of raw.json: every raw file in the order of the sources, with its number of records."""
    records: Counter[tuple[int, str]] = Counter()
    quarantined: Counter[tuple[int, str]] = Counter()
    skipped: Counter[tuple[int, str]] = Counter()
    for task in tasks:
        for chunk in results[task.key]["chunks"]:
            for name, (chunk_records, chunk_bad) in chunk["records"].items():
                records[task.payload["source"], name] += chunk_records
                quarantined[task.payload["source"], name] += chunk_bad
            for name, reasons in chunk.get("skipped", {}).items():
                skipped[task.payload["source"], name] += sum(reasons.values())
    entries: list[RawFileRecord] = []
    for index, source in enumerate(job.sources):
        for file in source["files"]:
            key = (index, file["name"])
            entry: RawFileRecord = {
                "source": source["source"], "name": file["name"], "bytes": file["size"], "sha256": file["sha256"],
                "records": records[key], "quarantined": quarantined[key],
            }  # fmt: skip
            entries.append({**entry, "skipped": skipped[key]} if skipped[key] else entry)
    return entries
