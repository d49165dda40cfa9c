"""Semantic copies in a report: the funnel column, the clusters, and how many copies there are at each cosine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.core import figures
from pipeline.core.artifact import Artifact
from pipeline.core.report import Chapter, Column, ReportedStep, ReportTable, StageReport
from pipeline.reports.documents import filtered

CHAPTER = "semantic-copies"
NAMES = {
    "clusters": "clusters", "largest": "documents of the largest cluster", "divided": "clusters that were divided",
    "pairs": "pairs that were compared", "without_vector": "documents without a vector, which stay",
}  # fmt: skip


def semantic(steps: Sequence[ReportedStep]) -> StageReport:
    """Documents without semantic copies; those that went stand beside those that stay, with their cosine."""
    report = filtered(steps, "without semantic copies")
    artifacts = [step.artifact for step in steps if step.artifact is not None]
    if not artifacts:
        return report
    blocks = (_by_cosine(artifacts[0]), _clusters(artifacts[0]))
    note = "Of documents whose vectors are alike one stays. Examples of both are below, under what was dropped; every "
    note += "copy is in duplicates/ of the artifact. Only documents of one cluster are compared."
    return replace(report, chapters=(Chapter(CHAPTER, "Semantic copies", blocks, note, of_data=True), *report.chapters))


def _by_cosine(artifact: Artifact) -> ReportTable:
    """Copies by their cosine with the document that stays: what a higher threshold would keep."""
    columns = (Column("cosine of at least"), Column("copies", figures=True), Column("and above", figures=True))
    bands = sorted(artifact.manifest.counts.get("copies_by_similarity", {}).items(), reverse=True)
    rows, total = [], 0
    for band, n in bands:
        total += n
        rows.append((band, figures.count(n), figures.count(total)))
    return ReportTable(columns, tuple(rows), title="Copies by cosine: a higher threshold keeps those below it")


def _clusters(artifact: Artifact) -> ReportTable:
    counts = artifact.manifest.counts.get("clusters", {})
    rows = tuple((text, figures.count(counts[name])) for name, text in NAMES.items() if name in counts)
    return ReportTable((Column("figure"), Column("value", figures=True)), rows, folded="Clusters")
