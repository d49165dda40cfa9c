"""Contamination in a report: by evaluation task, the items that were found, what was done, and examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.core import figures
from pipeline.core.artifact import Artifact
from pipeline.core.report import Chapter, Column, Done, ReportedStep, ReportTable, StageReport, TableCell
from pipeline.core.shards import batches
from pipeline.reports.documents import filtered
from pipeline.reports.examples import shortened

CHAPTER = "contamination"
EXAMPLES = 10
DONE = ("dropped", "cut", "reported")


def decontaminate(steps: Sequence[ReportedStep]) -> StageReport:
    """Documents without evaluation items; what was found of each task."""
    report = filtered(steps, "decontaminated")
    artifacts = [step.artifact for step in steps if step.artifact is not None]
    if not artifacts:
        return report
    blocks = (_by_task(artifacts[0]), *_examples(artifacts[0]))
    chapter = Chapter(CHAPTER, "Contamination by evaluation data", blocks, of_data=True)
    return replace(report, chapters=(*report.chapters, chapter), done=_done(artifacts[0]))


def _done(artifact: Artifact) -> tuple[Done, ...]:
    """A line of the data card for each evaluation task."""
    lines = []
    for task, row in sorted(artifact.manifest.counts.get("contamination", {}).items()):
        items = f"{figures.count(row.get('items_found', 0))} of {figures.plural(row.get('items', 0), 'item')} found"
        documents = ", ".join(f"{figures.plural(row[name], 'document')} {name}" for name in DONE if row.get(name))
        lines.append(Done(f"{task}: {items}" + (f"; {documents}" if documents else ""), CHAPTER))
    return tuple(lines)


def _by_task(artifact: Artifact) -> ReportTable:
    """A row for each evaluation task: its items, those found, and the documents by what was done."""
    counts = artifact.manifest.counts.get("contamination", {})
    languages = artifact.manifest.counts.get("contaminated_languages", {})
    done = [name for name in DONE if any(row.get(name) for row in counts.values())]
    columns = (
        Column("evaluation task"), Column("items", figures=True), Column("too short", figures=True),
        Column("items found", figures=True), *(Column(f"documents {name}", figures=True) for name in done),
        Column("languages"),
    )  # fmt: skip
    rows: list[tuple[TableCell | str, ...]] = []
    for task, row in sorted(counts.items()):
        by_language = ", ".join(f"{language} {figures.count(n)}" for language, n in languages.get(task, {}).items())
        cells = [figures.count(row.get(name, 0)) for name in ("items", "too_short", "items_found", *done)]
        rows.append((TableCell(task, "strong"), *cells, by_language))
    return ReportTable(columns, tuple(rows), rest="An item that is too short was not looked for.")


def _examples(artifact: Artifact) -> tuple[ReportTable, ...]:
    """The passages with the smallest document ids, which are an even sample."""
    rows = [row for file in artifact.files("contaminated/") for batch in batches(file) for row in batch.to_pylist()]
    if not rows:
        return ()
    columns = (
        Column("task"), Column("passage", text=True), Column("what was done"), Column("n-grams", figures=True),
        Column("item"), Column("document"),
    )  # fmt: skip
    shown = sorted(rows, key=lambda row: (row["id"], row["start"]))[:EXAMPLES]
    cells = tuple(
        (
            row["task"], shortened(row["text"]), row["action"], figures.count(row["ngrams"]),
            TableCell(row["item"], "mono"), TableCell(row["source_id"] or row["id"], "mono"),
        )
        for row in shown
    )  # fmt: skip
    more = (
        f"and {figures.count(len(rows) - len(shown))} more in contaminated/ of the artifact."
        if len(rows) > len(shown)
        else ""
    )
    return (ReportTable(columns, cells, title="Passages", rest=more, texts=True),)
