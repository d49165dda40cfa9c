"""clean: rules over the signals decide who stays: parts/ (kept) and rejected/ (who went, by which rule and value).

Text is read and written, nothing is measured: about 180 MB of text a CPU-second. The first rule that fails, in the
order of the filters, is the reason; `counts.failed` says how many failed each rule, first or not, and `counts.skipped`
by rule and language how many documents a rule could not judge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.beam.run import run_tasks
from pipeline.beam.task import Task
from pipeline.core.counts import StageCounts
from pipeline.core.errors import StageFailed
from pipeline.core.job import Job, StageOutput
from pipeline.core.records import DOCUMENTS, REJECTED
from pipeline.core.shards import EntryFields, FileEntry, ShardWriter, batches, number
from pipeline.filters import FILTERS
from pipeline.filters.base import Rule, build_filter
from pipeline.filters.rules import KEPT, RuleResults, apply_rules, resolve_languages
from pipeline.kernels.column import buffers

STEP = "choose"


class MeasuredDocuments(TypedDict):
    """The payload of a task: a file of documents and the file of their signals."""

    part: str
    signals: str


class TaskCounts(TypedDict):
    """Documents by rule (dropped by it first; failed at all), by rule and language (skipped), by side and language."""

    dropped: dict[str, int]
    failed: dict[str, int]
    skipped: dict[str, dict[str, int]]
    languages: dict[str, dict[str, int]]
    text_bytes: dict[str, int]


Rows = TypedDict("Rows", {"in": int, "out": int})
"""Documents read and kept."""


class ChosenFile(TaskCounts, Rows):
    """What became of a file: its kept and its rejected documents, as files and as numbers."""

    files: list[EntryFields]


def run(job: Job) -> StageOutput:
    """Judge every document; the artifact is parts/ and rejected/."""
    parts, measured = (job.inputs.files("documents", prefix) for prefix in ("parts/", "signals/"))
    pairs = list(zip(parts, measured, strict=True))
    tasks = [
        Task(f"{at:06d}", part.stat().st_size, MeasuredDocuments(part=str(part), signals=str(signals)))
        for at, (part, signals) in enumerate(pairs)
    ]
    results = run_tasks(job, STEP, tasks, choose_file)
    entries = [FileEntry.from_dict(entry) for result in results for entry in result["files"]]
    return StageOutput(number(job.folder, entries), _counts(results))


def choose_file(job: Job, task: Task[MeasuredDocuments]) -> ChosenFile:
    """One task: the row groups of a file and of its signals, side by side."""
    rules = rules_of(job.params)
    tally = _Tally()
    part, signals = Path(task.payload["part"]), Path(task.payload["signals"])
    columns = list(dict.fromkeys(["id", "own_units", *(rule.signal for rule in rules)]))
    kept = ShardWriter(job.folder, "parts", task.key, DOCUMENTS)
    rejected = ShardWriter(job.folder, "rejected", task.key, REJECTED)
    with kept, rejected:
        for table, measured in zip(batches(part), batches(signals, columns), strict=True):
            if not table["id"].equals(measured["id"]):
                raise StageFailed(f"clean: {part.name}: text and signals are not of the same documents; run --force.")
            _all_measured(rules, measured.schema.names)
            values = {name: measured[name].to_numpy() for name in columns[1:]}
            languages, values = resolve_languages(table["language"].to_pylist(), values, table["text"])
            verdict = apply_rules(rules, values, languages)
            stays = pa.array(verdict.first == KEPT)
            staying = table.filter(stays)
            kept.write(staying)
            leaving = table.filter(pc.invert(stays))
            rejected.write(rejections(leaving, verdict, rules, job.params["keep_rejected_text"]))
            tally.add(table, staying, verdict, rules)
    entries = [writer.entry.to_dict() for writer in (kept, rejected) if writer.entry]
    return {"files": entries, "in": kept.rows + rejected.rows, "out": kept.rows, **tally.counts()}


def rules_of(params: dict[str, Any]) -> list[Rule]:
    """Every rule, in the order in which they are tried."""
    filters = (build_filter(FILTERS, one["name"], one["options"]) for one in params["filters"])
    return [rule for one in filters for rule in one.rules()]


def _all_measured(rules: list[Rule], names: list[str]) -> None:
    for rule in rules:
        if rule.signal not in names:
            raise StageFailed(
                f"clean: the rule {rule.name} reads the signal {rule.signal}, which nothing measures. Name it in the "
                "filter's signal_names(), and set MEASURES in the section of a built-in filter."
            )


def rejections(leaving: pa.Table, verdict: RuleResults, rules: list[Rule], keep_text: int | None) -> pa.Table:
    """Rows of rejected/: the reason, its value and threshold, and how the text begins."""
    gone = verdict.first != KEPT
    text = leaving["text"] if keep_text is None else pc.utf8_slice_codeunits(leaving["text"], 0, keep_text)
    names = np.array([rule.name for rule in rules], object)
    columns = {
        "id": leaving["id"],
        "source_id": leaving["source_id"],
        "stage": pa.array(["clean"] * leaving.num_rows, pa.string()),
        "rule": pa.array(names[verdict.first[gone]] if len(names) else [], pa.string()),
        "value": pa.array(verdict.value[gone]),
        "threshold": pa.array(verdict.threshold[gone]),
        "text": text,
    }
    return pa.table(columns).cast(REJECTED)


class _Tally:
    """What a task counts beside its rows; JSON-able."""

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.skipped: dict[str, Counter[str]] = {}
        self.languages: dict[str, Counter[str]] = {"in": Counter(), "out": Counter()}
        self.text_bytes: Counter[str] = Counter()

    def add(self, table: pa.Table, staying: pa.Table, verdict: RuleResults, rules: list[Rule]) -> None:
        for at, rule in enumerate(rules):
            self.dropped[rule.name] += int((verdict.first == at).sum())
        self.failed.update(verdict.failed)
        for name, counts in verdict.skipped.items():
            self.skipped.setdefault(name, Counter()).update(counts)
        for side, rows in (("in", table), ("out", staying)):
            for found in rows["language"].value_counts().to_pylist():
                self.languages[side][found["values"] or "unknown"] += found["counts"]
            _, offsets = buffers(rows["text"])
            self.text_bytes[side] += int(offsets[-1] - offsets[0])

    def counts(self) -> TaskCounts:
        return {
            "dropped": self.dropped, "failed": self.failed, "text_bytes": self.text_bytes,
            "skipped": dict(self.skipped), "languages": dict(self.languages),
        }  # fmt: skip


def _counts(results: list[ChosenFile]) -> StageCounts:
    """Figures of all tasks, keys sorted; rules that dropped nothing are left out."""
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
