"""The stage `signals` in a report: languages that were identified, and the distribution of every signal by language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from pipeline.core import figures
from pipeline.core.artifact import Artifact, Remote
from pipeline.core.exploring import QUANTILES, Distribution, Distributions, page_bars
from pipeline.core.report import Chapter, Column, ReportedStep, ReportTable, StageReport, TableCell
from pipeline.filters.distributions import distributions_of
from pipeline.reports.documents import cleaned

LANGUAGES = 6  # whose distributions are shown
TAGS = 12  # replaced tags that are shown
SHOWN = (0.01, 0.25, 0.5, 0.75, 0.99)


def signals(steps: Sequence[ReportedStep]) -> StageReport:
    """Documents that were dropped, if any; languages; distributions."""
    artifacts = [step.artifact for step in steps if step.artifact is not None]
    if not artifacts:
        return StageReport()
    report = cleaned(steps)
    tables = [_languages(artifacts)] if any("languages" in item.manifest.counts for item in artifacts) else []
    if all(_is_read_quickly(artifact) for artifact in artifacts):
        tables += _distributions(distributions_of(artifacts))
    if not tables:
        return report
    note = "Each signal is a number per document, on which the rules of the stage clean are based. "
    note += "The heights of the histograms are square roots, over the range that holds 99 % of all documents. "
    note += "To see what another limit would drop: bloomery signals --rule FILTER.OPTION=LIMIT."
    chapter = Chapter("signals", "Languages and signals", tuple(tables), note=note, link="Signals", of_data=True)
    return replace(report, chapters=(*report.chapters, chapter))


def _is_read_quickly(artifact: Artifact) -> bool:
    """Whether the signals are there and lie on this machine: behind a URL, a report downloads no corpus."""
    return not isinstance(artifact.place, Remote) and bool(artifact.files("signals/"))


def _languages(artifacts: Sequence[Artifact]) -> ReportTable:
    """The tags that identification replaced; how many documents each language has is in the data card."""
    languages, retagged = Counter[str](), Counter[str]()
    for artifact in artifacts:
        languages.update(artifact.manifest.counts.get("languages", {}))
        retagged.update(artifact.manifest.counts.get("retagged", {}))
    replaced: dict[str, list[str]] = {}
    for change, n in retagged.most_common():
        before, _, after = change.partition(" → ")
        replaced.setdefault(after, []).append(f"{before} {figures.count(n)}")
    rows = [
        (language, figures.count(n), ", ".join(replaced[language][:TAGS]))
        for language, n in languages.most_common() if language in replaced
    ]  # fmt: skip
    columns = (Column("language"), Column("documents", figures=True), Column("tags that it replaced", text=True))
    line = f"languages identified anew: {figures.plural(len(rows), 'language')}"
    return ReportTable(columns, tuple(rows), folded=line)


def _distributions(distributions: Distributions) -> list[ReportTable]:
    """A table for each of the largest languages."""
    tags = list(dict.fromkeys(row.language for row in distributions.rows))
    columns = (
        Column("signal"), *(Column(f"{100 * quantile:g} %", figures=True) for quantile in SHOWN), Column("histogram"),
    )  # fmt: skip
    tables = []
    for tag in tags[:LANGUAGES]:
        rows = [row for row in distributions.rows if row.language == tag and row.source is None]
        title = f"{tag or 'unknown language'}, {figures.plural(rows[0].documents, 'document')}"
        tables.append(ReportTable(columns, tuple(_row(row) for row in rows if row.measured), folded=title))
    return tables


def _row(row: Distribution) -> tuple[TableCell | str, ...]:
    values = [figures.significant(row.quantiles[QUANTILES.index(quantile)]) for quantile in SHOWN]
    return row.signal, *values, TableCell(page_bars(row.histogram), "mono")
