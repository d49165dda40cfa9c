"""clean: rules over the signals decide which documents stay in parts/ and which go to rejected/, with rule and value.

Text is read and written, nothing is measured: about 180 MB of text a CPU-second. The first rule that fails, in the
order of the filters, is the reason. `counts.failed` has the number of documents that fail each rule, first or not, and
`counts.skipped`, by rule and language, the number of documents for which a rule was skipped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.beam.run import run_tasks
from pipeline.beam.task import Task
from pipeline.core.counts import StageCounts
from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject
from pipeline.core.inputs import InputFile
from pipeline.core.job import Job, StageOutput
from pipeline.core.records import DOCUMENTS, REJECTED
from pipeline.core.shards import EntryFields, FileEntry, ShardWriter, batches, number
from pipeline.filters import FILTERS
from pipeline.filters.annotations import score_files
from pipeline.filters.base import Floats, Rule, build_filter
from pipeline.filters.rules import KEPT, RuleResults, apply_rules, resolve_languages
from pipeline.kernels.column import buffers

STEP = "choose"


class MeasuredDocuments(TypedDict):
    """The payload of a task: a file of documents, the file of their signals, and the files of scores that are read."""

    part: InputFile
    signals: InputFile
    scores: list[InputFile]


class TaskCounts(TypedDict):
    """Numbers of documents by rule (`dropped`: the first to fail), by rule and language, by side ("in", "out") and
    language."""

    dropped: dict[str, int]
    failed: dict[str, int]
    skipped: dict[str, dict[str, int]]
    languages: dict[str, dict[str, int]]
    text_bytes: dict[str, int]


RowTotals = TypedDict("RowTotals", {"in": int, "out": int})
"""The numbers of documents that were read and kept."""


class FilteredFile(TaskCounts, RowTotals):
    """The result of a task: the files of kept and of rejected documents, and their counts."""

    files: list[EntryFields]


def run(job: Job) -> StageOutput:
    """Apply the rules to every document; the artifact is parts/ and rejected/."""
    parts, measured = (job.inputs.listed("documents", prefix) for prefix in ("parts/", "signals/"))
    tasks = [
        Task(f"{n:06d}", part["bytes"], MeasuredDocuments(part=part, signals=signals, scores=scores))
        for n, (part, signals, scores) in enumerate(zip(parts, measured, score_files(job.inputs), strict=True))
    ]
    results = run_tasks(job, STEP, tasks, filter_file)
    entries = [FileEntry.from_dict(entry) for result in results for entry in result["files"]]
    return StageOutput(number(job.draft, entries), _counts(results))


def filter_file(job: Job, task: Task[MeasuredDocuments]) -> FilteredFile:
    """One task: read the row groups of a file together with their signals, and split them into kept and rejected."""
    rules = rules_of(job.params)
    counter = _TaskCounter()
    part = job.inputs.local(task.payload["part"])
    measurements = [job.inputs.local(file) for file in (task.payload["signals"], *task.payload["scores"])]
    names = list(dict.fromkeys(["own_units", *(rule.signal for rule in rules)]))
    kept = ShardWriter(job.folder, "parts", task.key, DOCUMENTS)
    rejected = ShardWriter(job.folder, "rejected", task.key, REJECTED)
    with kept, rejected:
        for table, *signals in zip(batches(part), *_signals(measurements, names, rules), strict=True):
            values = _values(table, signals, part.name)
            languages, values = resolve_languages(table["language"].to_pylist(), values, table["text"])
            results = apply_rules(rules, values, languages)
            passes = pa.array(results.first == KEPT)
            kept_rows = table.filter(passes)
            kept.write(kept_rows)
            rejected_rows = table.filter(pc.invert(passes))
            rows = rejections(rejected_rows, results, rules, job.params["keep_rejected_text"])
            rejected.write(rows, dropped_from=rejected_rows)
            counter.add(table, kept_rows, results, rules)
    entries = [writer.entry.to_dict() for writer in (kept, rejected) if writer.entry]
    return {"files": entries, "in": kept.rows + rejected.rows, "out": kept.rows, **counter.counts()}


def _signals(files: Sequence[Path], names: Sequence[str], rules: list[Rule]) -> list[Iterator[pa.Table]]:
    """The row groups of files of signals and of scores, with those of the columns `names` that each has."""
    schemas = [pq.read_schema(file).names for file in files]
    _check_measured(rules, [name for schema in schemas for name in schema])
    return [
        batches(file, ["id", *(name for name in names if name in schema)])
        for file, schema in zip(files, schemas, strict=True)
    ]


def _values(documents: pa.Table, signals: Sequence[pa.Table], part: str) -> dict[str, Floats]:
    """The signals of a row group of documents by name.

    Raises: StageFailed when they belong to different documents.
    """
    for table in signals:
        if not documents["id"].equals(table["id"]):
            raise StageFailed(f"clean: {part}: text and signals belong to different documents. Run again with --force.")
    return {name: table[name].to_numpy() for table in signals for name in table.column_names if name != "id"}


def rules_of(params: JsonObject) -> list[Rule]:
    """Every rule, in the order in which they are applied."""
    filters = (build_filter(FILTERS, entry["name"], entry["options"]) for entry in params["filters"])
    return [rule for built in filters for rule in built.rules()]


def _check_measured(rules: list[Rule], names: list[str]) -> None:
    for rule in rules:
        if rule.signal not in names:
            raise StageFailed(
                f"clean: the rule {rule.name} reads the signal {rule.signal}, which no filter measures. Add it to "
                "signal_names() of the filter; in a built-in filter, also set MEASURES in its section."
            )


def rejections(rejected: pa.Table, results: RuleResults, rules: list[Rule], keep_text: int | None) -> pa.Table:
    """The rows of rejected/: the rule, the value, the threshold, and the beginning of the text."""
    is_rejected = results.first != KEPT
    text = rejected["text"] if keep_text is None else pc.utf8_slice_codeunits(rejected["text"], 0, keep_text)
    names = np.array([rule.name for rule in rules], object)
    columns = {
        "id": rejected["id"],
        "source_id": rejected["source_id"],
        "stage": pa.array(["clean"] * rejected.num_rows, pa.string()),
        "rule": pa.array(names[results.first[is_rejected]] if len(names) else [], pa.string()),
        "value": pa.array(results.value[is_rejected]),
        "threshold": pa.array(results.threshold[is_rejected]),
        "text": text,
    }
    return pa.table(columns).cast(REJECTED)


class _TaskCounter:
    """Adds up the counts of a task."""

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.skipped: dict[str, Counter[str]] = {}
        self.languages: dict[str, Counter[str]] = {"in": Counter(), "out": Counter()}
        self.text_bytes: Counter[str] = Counter()

    def add(self, table: pa.Table, kept: pa.Table, results: RuleResults, rules: list[Rule]) -> None:
        for index, rule in enumerate(rules):
            self.dropped[rule.name] += int((results.first == index).sum())
        self.failed.update(results.failed)
        for name, counts in results.skipped.items():
            self.skipped.setdefault(name, Counter()).update(counts)
        for side, rows in (("in", table), ("out", kept)):
            for entry in rows["language"].value_counts().to_pylist():
                self.languages[side][entry["values"] or "unknown"] += entry["counts"]
            _, offsets = buffers(rows["text"])
            self.text_bytes[side] += int(offsets[-1] - offsets[0])

    def counts(self) -> TaskCounts:
        return {
            "dropped": self.dropped, "failed": self.failed, "text_bytes": self.text_bytes,
            "skipped": dict(self.skipped), "languages": dict(self.languages),
        }  # fmt: skip


def _counts(results: list[FilteredFile]) -> StageCounts:
    """The sums over all tasks, with sorted keys; rules that dropped nothing are left out."""
    skipped = {
        name: _sum(result["skipped"].get(name, {}) for result in results)
        for name in sorted({name for result in results for name in result["skipped"]})
    }
    languages = {side: _sum(result["languages"].get(side, {}) for result in results) for side in ("in", "out")}
    sizes = _sum(result["text_bytes"] for result in results)
    return {
        "in": sum(result["in"] for result in results), "out": sum(result["out"] for result in results),
        "dropped": _sum(result["dropped"] for result in results),
        "failed": _sum(result["failed"] for result in results), "skipped": skipped,
        "languages": languages["out"], "languages_in": languages["in"],
        "text_bytes_in": sizes.get("in", 0), "text_bytes": sizes.get("out", 0),
    }  # fmt: skip


def _sum(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(sorted((+total).items()))
