"""signals: every document cleaned, and its signals measured beside it: parts/ and signals/, the same rows in both.

Nothing is dropped here, so thresholds can change without this work being done again. One task a file, in threads (the
kernels hold no GIL; processes where a plug-in is Python); memory is a row group and its largest document, a worker.
Cost: about 50 MB of text a CPU-second, reading and writing Parquet included.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.beam.run import run_tasks
from pipeline.beam.task import Task
from pipeline.cleaners import CLEANERS
from pipeline.cleaners.base import Cleaner, cleaner_of
from pipeline.core.counts import StageCounts
from pipeline.core.errors import StageFailed
from pipeline.core.job import Job, StageOutput
from pipeline.core.records import DOCUMENTS
from pipeline.core.shards import EntryFields, FileEntry, ShardWriter, batches, number
from pipeline.filters import FILTERS
from pipeline.filters.base import Filter, build_measuring_filter, measure
from pipeline.kernels import column
from pipeline.kernels.signals import NAMES

STEP = "measure"


class DocumentFile(TypedDict):
    """The payload of a task: a file of documents."""

    path: str


class MeasuredFile(TypedDict):
    """A file of text and one of signals; how many documents each cleaner changed; bytes of text before and after."""

    files: list[EntryFields]
    rows: int
    changed: dict[str, int]
    text_bytes: list[int]


def run(job: Job) -> StageOutput:
    """Clean and measure every file of the documents; the artifact is parts/ and signals/."""
    paths = job.inputs.files("documents", "parts/")
    tasks = [Task(f"{at:06d}", path.stat().st_size, DocumentFile(path=str(path))) for at, path in enumerate(paths)]
    own = any(":" in one["name"] for one in (*job.params["cleaners"], *job.params["filters"]))
    results = run_tasks(job, STEP, tasks, measure_file, isolation="processes" if own else "threads")
    entries = [FileEntry.from_dict(entry) for result in results for entry in result["files"]]
    return StageOutput(number(job.folder, entries), _counts(results))


def measure_file(job: Job, task: Task[DocumentFile]) -> MeasuredFile:
    """One task: the row groups of a file, each cleaned, measured and written before the next is read."""
    cleaners, filters = cleaners_of(job.params), own_filters_of(job.params)
    schema = signals_schema(filters)
    changed: Counter[str] = Counter()
    sizes = [0, 0]
    parts = ShardWriter(job.folder, "parts", task.key, DOCUMENTS)
    signals = ShardWriter(job.folder, "signals", task.key, schema)
    with parts, signals:
        for table in batches(Path(task.payload["path"])):
            cleaned = clean_text(table, cleaners, changed)
            parts.write(cleaned)
            signals.write(measured(cleaned, filters, schema))
            sizes[0] += text_bytes(table)
            sizes[1] += text_bytes(cleaned)
    entries = [writer.entry.to_dict() for writer in (parts, signals) if writer.entry]
    return {"files": entries, "rows": parts.rows, "changed": dict(changed), "text_bytes": sizes}


def cleaners_of(params: dict[str, Any]) -> list[tuple[str, Cleaner]]:
    """The cleaners by name, in their order."""
    return [(one["name"], cleaner_of(CLEANERS, one["name"], one["options"])) for one in params["cleaners"]]


def own_filters_of(params: dict[str, Any]) -> list[Filter]:
    """The filters that measure something of their own."""
    return [build_measuring_filter(FILTERS, one["name"], one["options"]) for one in params["filters"]]


def signals_schema(filters: list[Filter]) -> pa.Schema:
    """id, then a column a signal; what a filter of the user's adds bears that filter's name."""
    names = [*NAMES, *(name for one in filters for name in one.signal_names())]
    for one in filters:
        for name in one.signal_names():
            if names.count(name) > 1:
                raise StageFailed(f"filter {one.name}: its signal {name} has the name of another. Rename it.")
    return pa.schema([("id", pa.string()), *((name, pa.float64()) for name in names)])


def clean_text(table: pa.Table, cleaners: list[tuple[str, Cleaner]], changed: Counter[str]) -> pa.Table:
    """The table with its text through every cleaner; `changed` counts the documents that each one changed."""
    text = table["text"].combine_chunks()
    for name, cleaner in cleaners:
        before, text = text, cleaner.clean(text)
        if text is not before:
            changed[name] += pc.sum(pc.not_equal(before, text)).as_py() or 0
    return table.set_column(table.schema.get_field_index("text"), "text", text)


def measured(table: pa.Table, filters: list[Filter], schema: pa.Schema) -> pa.Table:
    """The signals of a batch, as they are written."""
    found: dict[str, Any] = {"id": table["id"]}
    found.update(column.measure(table["text"].combine_chunks(), table["language"].to_pylist()))
    for one in filters:
        found.update(measure(one, table))
    return pa.table([pa.array(found[name]) if name != "id" else found[name] for name in schema.names], schema=schema)


def text_bytes(table: pa.Table) -> int:
    """Bytes of text in a batch."""
    _, offsets = column.buffers(table["text"])
    return int(offsets[-1] - offsets[0])


def _counts(results: list[MeasuredFile]) -> StageCounts:
    changed: Counter[str] = Counter()
    for result in results:
        changed.update(result["changed"])
    rows = sum(result["rows"] for result in results)
    before, after = np.sum([[0, 0], *(result["text_bytes"] for result in results)], axis=0).tolist()
    return {"in": rows, "out": rows, "dropped": {}, "changed": dict(sorted(changed.items())),
            "text_bytes_in": before, "text_bytes": after}  # fmt: skip
