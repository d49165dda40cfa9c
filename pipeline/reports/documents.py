"""The stages of documents in a report: columns of the funnel, raw files, and what was dropped with examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from pipeline.core import figures
from pipeline.core.artifact import Artifact
from pipeline.core.counts import StageCounts
from pipeline.core.files import read_json
from pipeline.core.report import (
    Chapter,
    Column,
    DroppedDocuments,
    FunnelColumn,
    Reason,
    ReportedStep,
    ReportTable,
    StageReport,
    TableCell,
    Tile,
)
from pipeline.reports.examples import examples_of
from pipeline.reports.personal_data import personal_data

RAW = "raw.json"
MOST_FILES = 200  # shown; the rest is in raw.json


def ingest(steps: Sequence[ReportedStep]) -> StageReport:
    """Raw files and the documents that were read of them, all parts together."""
    artifacts = [step.artifact for step in steps if step.artifact is not None]
    if not artifacts:
        return StageReport()
    counts = [artifact.manifest.counts for artifact in artifacts]
    read, quarantined = (sum(part[key] for part in counts) for key in ("out", "quarantined"))
    quarantine_reasons = {f"quarantined: {name}": n for name, n in _summed(counts, "reasons").items()}
    skip_reasons = {f"no document: {name}": n for name, n in _summed(counts, "dropped").items()}
    lost = _ordered({**quarantine_reasons, **skip_reasons})
    raw_files = sum(part.get("raw_files", 0) for part in counts)
    raw_bytes = sum(part.get("raw_bytes", 0) for part in counts)
    text_bytes = sum(part.get("text_bytes", 0) for part in counts)
    records = sum(part.get("in", 0) for part in counts)
    return StageReport(
        tiles=(Tile(figures.count(read), "documents read", f"{figures.count(quarantined)} quarantined"),),
        gates=(
            FunnelColumn("raw", figures.plural(raw_files, "file"), figures.size(raw_bytes), records),
            FunnelColumn("documents", figures.count(read), figures.size(text_bytes), read, lost),
        ),
        chapters=(*_raw_files(artifacts), *_losses(steps, "reasons")),
    )


def cleaned(steps: Sequence[ReportedStep]) -> StageReport:
    """Cleaned and measured documents: shown where some were dropped, which is seldom. Personal data by kind."""
    report = filtered(steps, "cleaned")
    shown = report if report.chapters else StageReport()
    return replace(shown, chapters=(*shown.chapters, *personal_data(steps)))


def clean(steps: Sequence[ReportedStep]) -> StageReport:
    """Documents that the rules kept."""
    return filtered(steps, "kept by the rules")


def dedupe(steps: Sequence[ReportedStep]) -> StageReport:
    """Documents without copies."""
    return filtered(steps, "deduplicated")


def filtered(steps: Sequence[ReportedStep], label: str) -> StageReport:
    """The funnel column of a stage that drops documents, and what it dropped, with examples."""
    artifacts = [step.artifact for step in steps if step.artifact is not None]
    if not artifacts:
        return StageReport()
    counts = [artifact.manifest.counts for artifact in artifacts]
    remaining, stage = sum(part["out"] for part in counts), artifacts[0].manifest.stage
    gate = FunnelColumn(
        label, figures.count(remaining), f"after {stage}", remaining, _ordered(_summed(counts, "dropped"))
    )
    return StageReport(gates=(gate,), chapters=_losses(steps, "dropped"))


def _losses(steps: Sequence[ReportedStep], key: Literal["reasons", "dropped"]) -> tuple[Chapter, ...]:
    losses = []
    for step in steps:
        lost = _ordered(step.artifact.manifest.counts.get(key, {})) if step.artifact else ()
        if step.artifact is None or not lost:
            continue
        examples = examples_of(step.artifact, step.inputs)
        title = step.artifact.manifest.stage + (f" {step.name}" if step.name else "")
        reasons = tuple(Reason(name, n, examples.get(name, ())) for name, n in lost)
        losses.append(DroppedDocuments(title, step.artifact.manifest.counts.get("in", 0), reasons))
    return (Chapter("dropped", "What was dropped, and why", tuple(losses), link="What was dropped"),) if losses else ()


def _raw_files(artifacts: Sequence[Artifact]) -> tuple[Chapter, ...]:
    files = [file for artifact in artifacts if artifact.has(RAW) for file in read_json(artifact.file(RAW))]
    if not files:
        return ()
    columns = (
        Column("source"), Column("file"), Column("size", figures=True), Column("records", figures=True),
        Column("quarantined", figures=True), Column("sha256"),
    )  # fmt: skip
    rows = tuple(
        (
            file["source"], TableCell(file["name"], "mono"), figures.size(file["bytes"]),
            figures.count(file["records"]),
            figures.count(file["quarantined"]), TableCell(file["sha256"][:12], "mono"),
        )
        for file in files[:MOST_FILES]
    )  # fmt: skip
    more = len(files) - MOST_FILES
    omitted = f"and {figures.count(more)} more in {RAW} of the artifact." if more > 0 else ""
    table = ReportTable(columns, rows, folded=f"{figures.count(len(files))} raw files", rest=omitted)
    return (Chapter("funnel", "From raw files to tokens", (table,)),)


def _summed(counts: Sequence[StageCounts], key: Literal["reasons", "dropped"]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in counts:
        for name, n in part.get(key, {}).items():
            total[name] = total.get(name, 0) + n
    return total


def _ordered(lost: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(((name, n) for name, n in lost.items() if n), key=lambda item: (-item[1], item[0])))
