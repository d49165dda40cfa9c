"""Repeated passages in a report: what each finder removed, by source, and samples beside the copies that stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.core import figures
from pipeline.core.artifact import Artifact
from pipeline.core.report import Chapter, Column, Done, ReportedStep, ReportTable, StageReport, TableCell
from pipeline.core.shards import batches
from pipeline.reports.documents import filtered
from pipeline.reports.examples import shortened

CHAPTER = "passages"
MOST_SOURCES = 20


def passages(steps: Sequence[ReportedStep]) -> StageReport:
    """Documents without repeated passages; what was removed, by finder and source, with samples."""
    report = filtered(steps, "without repeated passages")
    artifacts = [step.artifact for step in steps if step.artifact is not None]
    if not artifacts:
        return report
    blocks = (_by_finder(artifacts[0]), *_by_source(artifacts[0]), *_samples(artifacts[0]))
    chapter = Chapter(CHAPTER, "Repeated passages", blocks, of_data=True)
    return replace(report, chapters=(*report.chapters, chapter), done=(*_done(artifacts[0]), *report.done))


def _done(artifact: Artifact) -> tuple[Done, ...]:
    """A line of the data card: the passages that each finder removed, and the text that went."""
    counts = artifact.manifest.counts
    finders = ", ".join(
        f"{finder} {figures.plural(row['passages'], 'passage')}" for finder, row in counts.get("passages", {}).items()
    )
    size = figures.size(counts.get("text_bytes_in", 0) - counts.get("text_bytes", 0))
    return (Done(f"removed repeated passages: {finders}; {size} of text", CHAPTER),)


def _by_finder(artifact: Artifact) -> ReportTable:
    """A row for each finder, each counted apart, and one for the bytes of all."""
    counts = artifact.manifest.counts
    columns = (
        Column("finder"), Column("passages", figures=True), Column("documents", figures=True),
        Column("characters", figures=True),
    )  # fmt: skip
    rows: list[tuple[TableCell | str, ...]] = [
        (TableCell(finder, "strong"), *(figures.count(row[name]) for name in ("passages", "documents", "characters")))
        for finder, row in counts.get("passages", {}).items()
    ]
    before, after = counts.get("text_bytes_in", 0), counts.get("text_bytes", 0)
    share = 100 * (before - after) / before if before else 0.0
    changed = sum(counts.get("changed", {}).values())
    rest = (
        f"Each finder is counted apart; the same text may count for several. Altogether {figures.size(before - after)} "
        f"of {figures.size(before)} ({share:.2f} %) went, of {figures.plural(changed, 'document')}, those that were "
        "dropped included. The first copy of every passage stays."
    )
    return ReportTable(columns, tuple(rows), rest=rest)


def _by_source(artifact: Artifact) -> tuple[ReportTable, ...]:
    """The passages that each finder removed in each source, the sources with most of them first."""
    by_finder = artifact.manifest.counts.get("passage_sources", {})
    totals: dict[str, int] = {}
    for sources in by_finder.values():
        for source, n in sources.items():
            totals[source] = totals.get(source, 0) + n
    if not totals:
        return ()
    names = sorted(totals, key=lambda source: (-totals[source], source))
    columns = (Column("source"), *(Column(finder, figures=True) for finder in by_finder))
    rows = tuple(
        (source or "(none)", *(figures.count(by_finder[finder].get(source, 0)) for finder in by_finder))
        for source in names[:MOST_SOURCES]
    )
    more = len(names) - MOST_SOURCES
    rest = f"and {figures.count(more)} more sources in counts.passage_sources." if more > 0 else ""
    return (ReportTable(columns, rows, title="Passages by source", rest=rest),)


def _samples(artifact: Artifact) -> tuple[ReportTable, ...]:
    """Removed passages beside the copies that stay: an even sample, chosen by a hash."""
    rows = [row for file in artifact.files("samples/") for batch in batches(file) for row in batch.to_pylist()]
    if not rows:
        return ()
    columns = (
        Column("finder"),
        Column("copies", figures=True),
        Column("removed", text=True),
        Column("stays", text=True),
    )
    cells = tuple(
        (row["finder"], figures.count(row["copies"]), _in_context(row, ""), _in_context(row, "kept_")) for row in rows
    )
    rest = "Every passage is in removed/ of the artifact."
    line = f"{figures.plural(len(cells), 'sample')}: what was removed, and the copy that stays"
    return (ReportTable(columns, cells, folded=line, rest=rest, texts=True),)


def _in_context(row: dict[str, str], prefix: str) -> TableCell:
    """A passage between the texts around it, and its document."""
    before, text, after = (row[f"{prefix}{name}"] for name in ("before", "text", "after"))
    shown = f"{'…' if before else ''}{before} ⟦{shortened(text)}⟧ {after}{'…' if after else ''}"
    return TableCell(parts=((shown.strip(), row[f"{prefix}source_id"] or row[f"{prefix}id"]),))
