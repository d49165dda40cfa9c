"""signals: cleans every document, identifies its language where that is not known, and measures its signals.

parts/ and signals/ have the same rows.

Nothing is dropped, so thresholds can change without measuring again. There is one task per file, in threads (kernels
release the GIL), or in processes where a plug-in runs Python. Memory: a row group and its largest document per worker.
Cost: about 50 MB of text a CPU-second, including reading and writing Parquet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.beam.run import run_tasks
from pipeline.beam.task import Task
from pipeline.cleaners import CLEANERS
from pipeline.cleaners.base import Cleaner, cleaner_of
from pipeline.core.counts import ByLanguageCounter, StageCounts, summed
from pipeline.core.draft import sharing
from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject, sha256_file
from pipeline.core.inputs import InputFile
from pipeline.core.job import Job, StageOutput
from pipeline.core.records import DOCUMENTS
from pipeline.core.shards import EntryFields, FileEntry, ShardWriter, batches, number
from pipeline.filters import FILTERS
from pipeline.filters.base import Filter, Floats, build_measuring_filter, measure_all
from pipeline.kernels import column
from pipeline.kernels.signals import NAMES
from pipeline.stages import identification
from pipeline.stages.identification import Identification

STEP = "measure"
PII_SIGNAL = "pii_"  # begins the names of the signals of the cleaner `pii`


class DocumentFile(TypedDict):
    """The payload of a task: a file of documents."""

    file: InputFile


class MeasuredFile(TypedDict):
    """A file of text and a file of signals; documents changed by each cleaner; bytes of text before and after;
    documents by language and by the tag that identification replaced, "en → fr"."""

    files: list[EntryFields]
    rows: int
    changed: dict[str, int]
    text_bytes: list[int]
    languages: dict[str, int]
    retagged: dict[str, int]
    pii: dict[str, dict[str, int]]


def run(job: Job) -> StageOutput:
    """Clean and measure every file of the documents; the artifact is parts/ and signals/."""
    files = job.inputs.listed("documents", "parts/")
    tasks = [Task(f"{n:06d}", file["bytes"], DocumentFile(file=file)) for n, file in enumerate(files)]
    has_plugin = any(":" in entry["name"] for entry in (*job.params["cleaners"], *job.params["filters"]))
    _build_lists(job)
    results = run_tasks(job, STEP, tasks, measure_file, isolation="processes" if has_plugin else "threads")
    entries = [FileEntry.from_dict(entry) for result in results for entry in result["files"]]
    return StageOutput(number(job.draft, entries), _counts(results))


def measure_file(job: Job, task: Task[DocumentFile]) -> MeasuredFile:
    """One task: clean, measure and write each row group of a file before reading the next."""
    cleaners = cleaners_of(job.params)
    filters = measuring_filters_of(job.params)
    for measuring in filters if job.sources else ():
        measuring.load(job.draft)
    schema = signals_schema(filters, [cleaner for _, cleaner in cleaners])
    changed: Counter[str] = Counter()
    tags = TagCounts()
    personal_data = ByLanguageCounter(PII_SIGNAL)
    sizes = [0, 0]
    parts = ShardWriter(job.folder, "parts", task.key, DOCUMENTS)
    signals = ShardWriter(job.folder, "signals", task.key, schema)
    with parts, signals:
        for table in batches(job.inputs.local(task.payload["file"])):
            cleaned, cleaner_signals = clean_text(table, cleaners, changed)
            documents, measured = measure_signals(
                cleaned, filters, cleaner_signals, schema, identify=job.params["language"]
            )
            tags.add(table, documents)
            personal_data.add(documents["language"].to_pylist(), cleaner_signals)
            parts.write(documents)
            signals.write(measured)
            sizes[0] += text_bytes(table)
            sizes[1] += text_bytes(cleaned)
    entries = [writer.entry.to_dict() for writer in (parts, signals) if writer.entry]
    return {
        "files": entries, "rows": parts.rows, "changed": dict(changed), "text_bytes": sizes,
        "languages": dict(tags.languages), "retagged": dict(tags.retagged),
        "pii": personal_data.counts,
    }  # fmt: skip


class TagCounts:
    """Documents by language, and by the tag that identification replaced."""

    def __init__(self) -> None:
        self.languages: Counter[str] = Counter()
        self.retagged: Counter[str] = Counter()

    def add(self, before: pa.Table, after: pa.Table) -> None:
        """Count the languages of a batch before and after identification."""
        pairs = Counter(zip(before["language"].to_pylist(), after["language"].to_pylist(), strict=True))
        for (old, new), n in pairs.items():
            self.languages[new or "unknown"] += n
            if old != new:
                self.retagged[f"{old or 'unknown'} → {new or 'unknown'}"] += n


def _build_lists(job: Job) -> None:
    """Let filters build what all workers share of the files that they name; a file that changed is an error."""
    if not job.sources:
        return
    digests = {(label, digest) for entry in job.params["filters"] for label, digest in entry.get("lists", ())}
    for source in job.sources:
        for file in source["files"]:
            if (source["source"], sha256_file(file["path"])) not in digests:
                raise StageFailed(f"signals: {file['path']} changed after the run was planned. Run again.")
    with sharing(job.draft, job.folder, "lists"):
        for measuring in measuring_filters_of(job.params):
            measuring.build(job.sources, job.folder)


def cleaners_of(params: JsonObject) -> list[tuple[str, Cleaner]]:
    """The names and cleaners, in their order."""
    return [(entry["name"], cleaner_of(CLEANERS, entry["name"], entry["options"])) for entry in params["cleaners"]]


def measuring_filters_of(params: JsonObject) -> list[Filter]:
    """The filters that measure signals themselves."""
    return [build_measuring_filter(FILTERS, entry["name"], entry["options"]) for entry in params["filters"]]


def signals_schema(filters: list[Filter], cleaners: Sequence[Cleaner] = ()) -> pa.Schema:
    """The column id, then a column per signal; a filter of the user names its signal after itself."""
    names = [
        *NAMES,
        *identification.NAMES,
        *(name for cleaner in cleaners for name in cleaner.signal_names()),
        *(name for measuring in filters for name in measuring.signal_names()),
    ]
    for measuring in filters:
        for name in measuring.signal_names():
            if names.count(name) > 1:
                raise StageFailed(f"filter {measuring.name}: its signal {name} has the name of another. Rename it.")
    return pa.schema([("id", pa.string()), *((name, pa.float64()) for name in names)])


def clean_text(
    table: pa.Table, cleaners: list[tuple[str, Cleaner]], changed: Counter[str]
) -> tuple[pa.Table, dict[str, Floats]]:
    """The table with its text cleaned, and the signals of cleaners; `changed` counts the documents that each
    changed."""
    text = column.one_array(table["text"])
    signals: dict[str, Floats] = {}
    for name, cleaner in cleaners:
        cleaned, cleaner_signals = cleaner.clean_and_measure(text)
        if cleaned is not text:
            changed[name] += pc.sum(pc.not_equal(text, cleaned)).as_py() or 0
        text = cleaned
        signals.update(cleaner_signals)
    return table.set_column(table.schema.get_field_index("text"), "text", text), signals


def measure_signals(
    table: pa.Table,
    filters: list[Filter],
    cleaner_signals: Mapping[str, Floats],
    schema: pa.Schema,
    *,
    identify: str | None,
) -> tuple[pa.Table, pa.Table]:
    """The batch with its languages, and its signals in the columns of the schema.

    `identify`: "untagged", "all", or None: languages stay as they are, and their signals are NaN.
    """
    text, tags = column.one_array(table["text"]), table["language"].to_pylist()
    if identify is None:
        unknown = np.full(len(tags), np.nan)
        identified = Identification(tags, unknown, unknown, np.zeros(len(tags), bool))
        signals: dict[str, Floats] = dict(column.measure(text, tags))
    else:
        identified = identification.identify(text, tags, every=identify == "all")
        signals = dict(column.measure(text, identified.languages))
        identified = _revise(text, identified, signals)
    signals.update(identified.signals())
    signals.update(cleaner_signals)
    languages = pa.array(identified.languages, pa.string())
    table = table.set_column(table.schema.get_field_index("language"), "language", languages)
    signals.update(measure_all(filters, table))
    measured = pa.table([table["id"], *(pa.array(signals[name]) for name in schema.names[1:])], schema=schema)
    return table, measured


def _revise(text: pa.Array, identified: Identification, signals: dict[str, Floats]) -> Identification:
    """Ask for documents tagged as English without English words; their function words are counted again."""
    identified, changed = identification.revise(text, identified, signals["function_words"])
    if len(changed):
        tags = [identified.languages[row] for row in changed.tolist()]
        again = column.measure(text.take(pa.array(changed)), tags)
        signals["function_words"] = signals["function_words"].copy()
        signals["function_words"][changed] = again["function_words"]
    return identified


def text_bytes(table: pa.Table) -> int:
    """Bytes of text in a batch."""
    _, offsets = column.buffers(table["text"])
    return int(offsets[-1] - offsets[0])


def _counts(results: list[MeasuredFile]) -> StageCounts:
    changed, languages, retagged = Counter[str](), Counter[str](), Counter[str]()
    for result in results:
        changed.update(result["changed"])
        languages.update(result["languages"])
        retagged.update(result["retagged"])
    rows = sum(result["rows"] for result in results)
    before, after = np.sum([[0, 0], *(result["text_bytes"] for result in results)], axis=0).tolist()
    counts: StageCounts = {
        "in": rows, "out": rows, "dropped": {}, "changed": dict(sorted(changed.items())),
        "languages": dict(sorted(languages.items())), "retagged": dict(sorted(retagged.items())),
        "text_bytes_in": before, "text_bytes": after,
    }  # fmt: skip
    personal_data = summed(result.get("pii", {}) for result in results)
    return {**counts, "pii": personal_data} if personal_data else counts
