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
    Done,
    DroppedDocuments,
    FunnelColumn,
    Reason,
    ReportedStep,
    ReportTable,
    StageReport,
    TableCell,
    Tile,
)
from pipeline.reports.examples import examples_of, kept_examples
from pipeline.reports.personal_data import personal_data, personal_data_done

DROPPED = "dropped"
RAW = "raw.json"
NAMED_REASONS = 6  # in a line of the data card
MOST_FILES = 200  # shown; the rest is in raw.json


KEPT_LANGUAGES = 6  # with examples of documents that were kept
_CHAPTER = Chapter(
    DROPPED, "What was dropped, and why; what was kept", (), link="Dropped and kept", of_data=True,
)  # fmt: skip


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
        done=(
            Done(f"read {figures.plural(raw_files, 'raw file')}, {figures.size(raw_bytes)}"),
            *_removed("quarantined", _summed(counts, "reasons")), *_removed("skipped", _summed(counts, "dropped")),
            *_truncated(_summed(counts, "truncated")),
        ),
        licences=_stated_licences(steps),
    )  # fmt: skip


def cleaned(steps: Sequence[ReportedStep]) -> StageReport:
    """Cleaned and measured documents: shown where some were dropped, which is seldom. Personal data by kind."""
    report = filtered(steps, "cleaned")
    shown = report if report.chapters else StageReport()
    done = (*_changes(steps), *personal_data_done(steps), *report.done)
    return replace(shown, chapters=(*shown.chapters, *personal_data(steps)), done=done)


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
    done = _removed("dropped", _summed(counts, "dropped"))
    return StageReport(gates=(gate,), chapters=_losses(steps, "dropped"), done=done)


def kept(steps: Sequence[ReportedStep]) -> tuple[Chapter, ...]:
    """Examples of the documents that a stage reads, by language, as a part of the chapter of what was dropped."""
    documents = [artifact for step in steps for artifact in step.inputs if artifact.manifest.kind == "documents"]
    languages: dict[str, int] = {}
    for artifact in documents:
        for source in artifact.manifest.counts.get("sources", {}).values():
            for language, measures in source["languages"].items():
                languages[language] = languages.get(language, 0) + measures["documents"]
    examples = kept_examples(documents, [language for language, _ in _ordered(languages)[:KEPT_LANGUAGES]])
    if not examples:
        return ()
    reasons = [Reason(name, n, examples[name]) for name, n in _ordered(languages) if name in examples]
    others = [n for name, n in _ordered(languages) if name not in examples]
    reasons += [Reason(figures.plural(len(others), "other language"), sum(others))] if others else []
    block = DroppedDocuments("kept, by language", sum(languages.values()), tuple(reasons))
    return (replace(_CHAPTER, blocks=(block,)),)


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
    return (replace(_CHAPTER, blocks=tuple(losses)),) if losses else ()


def _removed(what: str, reasons: Mapping[str, int]) -> tuple[Done, ...]:
    """A line of the data card: how many were removed, and the most frequent reasons."""
    ordered = _ordered(reasons)
    if not ordered:
        return ()
    named = ", ".join(f"{name} {figures.count(n)}" for name, n in ordered[:NAMED_REASONS])
    rest = ordered[NAMED_REASONS:]
    more = f", {figures.plural(len(rest), 'other reason')} {figures.count(sum(n for _, n in rest))}" if rest else ""
    return (Done(f"{what} {figures.count(sum(reasons.values()))}: {named}{more}", DROPPED),)


def _truncated(marks: Mapping[str, int]) -> tuple[Done, ...]:
    """A line of the data card: documents that are known to be cut, by what says so."""
    named = ", ".join(f"{name} {figures.count(n)}" for name, n in _ordered(marks))
    total = figures.plural(sum(marks.values()), "document")
    return (Done(f"kept {total} known to be cut, `truncated` in their metadata: {named}"),) if named else ()


def _changes(steps: Sequence[ReportedStep]) -> tuple[Done, ...]:
    """Lines of the data card: which cleaners changed how many documents, and whose language was identified."""
    counts = [step.artifact.manifest.counts for step in steps if step.artifact is not None]
    changed: dict[str, int] = {}
    for part in counts:
        for name, n in part.get("changed", {}).items():
            changed[name] = changed.get(name, 0) + n
    before = sum(part.get("text_bytes_in", 0) for part in counts)
    after = sum(part.get("text_bytes", 0) for part in counts)
    cleaners = ", ".join(f"{name} changed {figures.plural(n, 'document')}" for name, n in _ordered(changed))
    lines = [Done(f"cleaned: {cleaners}; text {figures.size(before)} → {figures.size(after)}")] if cleaners else []
    identified = sum(n for part in counts for n in part.get("retagged", {}).values())
    if identified:
        lines.append(Done(f"identified the language of {figures.plural(identified, 'document')} anew", "signals"))
    return tuple(lines)


def _stated_licences(steps: Sequence[ReportedStep]) -> dict[str, str]:
    """Source → the licence that the configuration states."""
    sources: list[dict[str, str]] = steps[0].section.get("sources", [])
    return {source["name"]: source["licence"] for source in sources if source.get("licence") and "name" in source}


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
    return (Chapter("card", "Data card", (table,)),)


def _summed(counts: Sequence[StageCounts], key: Literal["reasons", "dropped", "truncated"]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in counts:
        for name, n in part.get(key, {}).items():
            total[name] = total.get(name, 0) + n
    return total


def _ordered(lost: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(((name, n) for name, n in lost.items() if n), key=lambda item: (-item[1], item[0])))
