"""ingest: raw files → documents, and a quarantine for every record that cannot be one.

Small raw files share a task, a large one is a task of its own and yields chunk files of 64 MB. A finished chunk
is kept: a killed task goes on behind it. Cuts follow from content alone, so the bytes are the same at any number of
workers. Memory: a batch of 8 MiB and the longest record, a worker. Cost: see tests/benchmarks/bench_ingest.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any

from pipeline.beam.run import run_tasks
from pipeline.beam.task import Isolation, Task
from pipeline.core.counts import Counts
from pipeline.core.errors import StageFailed
from pipeline.core.files import RawFile, write_json
from pipeline.core.shards import FileEntry, entry_of, number
from pipeline.core.stage import Job, Outcome, SourceFiles
from pipeline.readers import READERS
from pipeline.stages.chunks import read_chunks

GROUP_BYTES = 16 << 20
COMPRESSED = (".gz", ".zst", ".xz", ".bz2")
USUAL_RATIO = 4  # of text to its compressed bytes: only decides which small files share a task
PROCESSES_BYTES = 256 << 20  # JSON holds the GIL for half of the work; below this, starting processes costs more
RAW = "raw.json"


def run(job: Job) -> Outcome:
    """Read every source; the artifact is parts/, quarantine/ and raw.json.

    Raises: StageFailed when too many records are bad, when there is no document, or when a raw file cannot be read.
    """
    tasks = [task for index in range(len(job.sources)) for task in _group(job, index)]
    results = _read(job, tasks)
    chunks = [chunk for task in tasks for chunk in results[task.key]["chunks"]]
    counts = _counts(job, chunks)
    _judge(job, counts, chunks)
    found = [FileEntry.from_dict(entry) for chunk in chunks for entry in chunk["files"]]
    files = number(job.folder, found)
    write_json(job.folder / RAW, _raw_files(job, tasks, results))
    return Outcome([*files, entry_of(job.folder, RAW)], counts)


def read_files(job: Job, task: Task) -> dict[str, Any]:
    """One task: its raw files, in order, as chunks. What a finished chunk holds is not read again."""
    options = _options(job, job.sources[task.payload["source"]])
    files = [RawFile(**file) for file in task.payload["files"]]
    return {"chunks": read_chunks(job, task.key, options, files)}


def _options(job: Job, source: SourceFiles) -> dict[str, Any]:
    found: dict[str, Any] = next(options for options in job.params["sources"] if options["name"] == source["source"])
    return found


def _group(job: Job, index: int) -> Iterator[Task]:
    """Raw files in the order of their names, together up to GROUP_BYTES of what they are likely to hold."""
    group: list[RawFile] = []
    size = 0
    numbers = count()
    for file in job.sources[index]["files"]:
        raw = RawFile(file["path"], file["name"], file["size"], file.get("mtime", 0.0))
        likely = raw.size * (USUAL_RATIO if raw.name.endswith(COMPRESSED) else 1)
        if group and size + likely > GROUP_BYTES:
            yield _task(index, next(numbers), group)
            group, size = [], 0
        group.append(raw)
        size += likely
    if group:
        yield _task(index, next(numbers), group)


def _task(source: int, index: int, files: list[RawFile]) -> Task:
    listed = [{"path": file.path, "name": file.name, "size": file.size, "mtime": file.mtime} for file in files]
    size = sum(file.size for file in files)
    return Task(f"{source:03d}-{index:06d}", size, {"source": source, "files": listed})


def _read(job: Job, tasks: list[Task]) -> dict[str, dict[str, Any]]:
    """The results by key. Readers that parse code run in processes always, the others where it pays."""
    results: dict[str, dict[str, Any]] = {}
    for wanted, step in (("threads", "read"), ("processes", "parse")):
        mine = [task for task in tasks if _isolation_of(job, task) == wanted]
        pays = job.workers > 1 and sum(task.size for task in mine) >= PROCESSES_BYTES
        isolation: Isolation = "processes" if pays or wanted == "processes" else "threads"
        if mine:
            found = run_tasks(job, step, mine, read_files, isolation=isolation)
            results.update(zip((task.key for task in mine), found, strict=True))
    return results


def _isolation_of(job: Job, task: Task) -> str:
    options = _options(job, job.sources[task.payload["source"]])
    return str(READERS.load(options["reader"]).isolation)


def _counts(job: Job, chunks: list[dict[str, Any]]) -> Counts:
    reasons: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    for chunk in chunks:
        reasons.update(chunk["reasons"])
        languages.update(chunk["languages"])
    rows = {
        kind: sum(entry["rows"] for chunk in chunks for entry in chunk["files"] if entry["path"].startswith(f"{kind}/"))
        for kind in ("parts", "quarantine")
    }
    return {
        "in": sum(records for chunk in chunks for records, _ in chunk["records"].values()),
        "out": rows["parts"],
        "dropped": {},
        "quarantined": rows["quarantine"],
        "reasons": dict(sorted(reasons.items())),
        "languages": dict(sorted(languages.items())),
        "raw_files": sum(len(source["files"]) for source in job.sources),
        "raw_bytes": sum(file["size"] for source in job.sources for file in source["files"]),
        "text_bytes": sum(chunk["text_bytes"] for chunk in chunks),
        "fields_left_out": sum(chunk["left_out"] for chunk in chunks),
    }


def _judge(job: Job, counts: Counts, chunks: list[dict[str, Any]]) -> None:
    """Too many bad records, or no document at all, end the run; the message names some."""
    limit = job.params["max_bad_fraction"]
    examples = "; ".join([example for chunk in chunks for example in chunk["examples"]][:3])
    reasons = ", ".join(f"{reason} {found:,}" for reason, found in counts["reasons"].items())
    if counts["quarantined"] > limit * counts["in"]:
        share = 100 * counts["quarantined"] / counts["in"]
        raise StageFailed(
            f"ingest: {counts['quarantined']:,} of {counts['in']:,} records are bad ({share:.3g} %; {reasons}), more"
            f" than ingest.max_bad_fraction={limit:g} allows. The first: {examples}. Mend the files, or allow more."
        )
    if not counts["out"]:
        why = f"all {counts['in']:,} records are bad: {examples}" if counts["in"] else "the raw files hold no record"
        raise StageFailed(f"ingest: no document: {why}. Look at ingest.sources: is it the right reader and field?")


def _raw_files(job: Job, tasks: list[Task], results: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """raw.json: every raw file with what it held; no paths of this machine in it."""
    held: dict[tuple[int, str], list[int]] = {}
    for task in tasks:
        for chunk in results[task.key]["chunks"]:
            for name, (records, bad) in chunk["records"].items():
                found = held.setdefault((task.payload["source"], name), [0, 0])
                found[0], found[1] = found[0] + records, found[1] + bad
    return [
        {
            "source": source["source"], "name": file["name"], "bytes": file["size"], "sha256": file["sha256"],
            "records": held.get((index, file["name"]), [0, 0])[0],
            "quarantined": held.get((index, file["name"]), [0, 0])[1],
        }
        for index, source in enumerate(job.sources)
        for file in source["files"]
    ]  # fmt: skip
