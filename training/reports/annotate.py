"""Scores that models gave documents, in a report: by language and source, examples, and what a model learned."""

from __future__ import annotations

import string
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa

from pipeline.core import figures
from pipeline.core.artifact import Artifact, Remote
from pipeline.core.exploring import QUANTILES, Distribution, page_bars
from pipeline.core.files import JsonObject, JsonValue, read_json
from pipeline.core.manifest import Manifest
from pipeline.core.report import (
    Chapter,
    ChapterBlock,
    Column,
    Done,
    ReportedStep,
    ReportTable,
    SampleText,
    SampleTexts,
    StageReport,
    TableCell,
)
from pipeline.filters.annotations import scores_beside, signal_of
from pipeline.filters.distributions import MOST_DOCUMENTS, distributions_of
from pipeline.filters.measured_rows import RowGroup, documents_of, row_groups

ABOUT = "annotation.json"
CHAPTER = "scores-of-models"
SHOWN = (0.01, 0.25, 0.5, 0.75, 0.99)
LANGUAGES = 4  # with examples
CHARACTERS = 300  # of an example
PLACES = (0.0, 0.1, 0.5, 0.9, 1.0)  # of the examples of a language, by their score
_T = TypeVar("_T")


def summary(manifest: Manifest) -> str:
    """ "1,769 documents, 3 without a score, 4.1 MB of text"."""
    counts = manifest.counts
    unscored = sum(counts.get("unscored", {}).values())
    without = f", {figures.count(unscored)} without a score" if unscored else ""
    return f"{figures.plural(counts['out'], 'document')}{without}, {figures.size(counts['text_bytes'])} of text"


def annotate(steps: Sequence[ReportedStep]) -> StageReport:
    """A chapter with the scores of every model; the parts of a corpus are shown together."""
    by_signal: dict[str, list[ReportedStep]] = defaultdict(list)
    for step in steps:
        if step.artifact is not None:
            by_signal[signal_of(step.artifact)].append(step)
    blocks = [block for signal, of_signal in by_signal.items() for block in _blocks(signal, of_signal)]
    if not blocks:
        return StageReport()
    note = "The score of a document is the signal score_NAME, which the filter `score` of clean reads. The heights of "
    note += "the histograms are square roots, over the range that holds 99 % of all scores. To see what a limit would "
    note += "drop: bloomery signals --rule score.min_NAME=LIMIT."
    chapter = Chapter(CHAPTER, "Scores by models", tuple(blocks), note, "Models")
    return StageReport(chapters=(chapter,), done=tuple(_done(signal, steps) for signal, steps in by_signal.items()))


def _done(signal: str, steps: Sequence[ReportedStep]) -> Done:
    """A line of the data card: how many documents a model scored."""
    documents = sum(step.artifact.manifest.counts["out"] for step in steps if step.artifact is not None)
    return Done(f"{signal}: scored {figures.plural(documents, 'document')}", CHAPTER)


def _blocks(signal: str, steps: Sequence[ReportedStep]) -> Iterator[ChapterBlock]:
    annotations = [step.artifact for step in steps if step.artifact is not None]
    about = read_json(annotations[0].file(ABOUT))
    unscored: dict[str, int] = defaultdict(int)
    for each in annotations:
        for language, count in each.manifest.counts.get("unscored", {}).items():
            unscored[language] += count
    documents = [each for step in steps for each in step.inputs if _is_scored(each, annotations)]
    title = f"{signal}: {about['model']}"
    if documents and not any(isinstance(each.place, Remote) for each in (*documents, *annotations)):
        # behind a URL a report downloads no corpus
        yield _distributions(title, signal, [*documents, *annotations], unscored)
        yield from _examples(signal, [*documents, *annotations])
    else:
        yield ReportTable(
            (Column("model"), Column("documents", figures=True)),
            ((title, figures.count(sum(each.manifest.counts["out"] for each in annotations))),),
        )
    yield from _learned(signal, about["figures"])


def _is_scored(documents: Artifact, annotations: Sequence[Artifact]) -> bool:
    return documents.manifest.kind == "documents" and bool(scores_beside(annotations, documents))


def _distributions(title: str, signal: str, artifacts: Sequence[Artifact], unscored: Mapping[str, int]) -> ReportTable:
    """A row for each language, and for each of its sources where there are several."""
    columns = (
        Column("language"), Column("source"), Column("documents", figures=True), Column("without", figures=True),
        *(Column(f"{100 * quantile:g} %", figures=True) for quantile in SHOWN), Column("histogram"),
    )  # fmt: skip
    rows = tuple(_row(row, unscored) for row in distributions_of(artifacts, [signal]).rows)
    return ReportTable(columns, rows, title=title)


def _row(row: Distribution, unscored: Mapping[str, int]) -> tuple[TableCell | str, ...]:
    language = row.language or "unknown"
    quantiles = [figures.significant(row.quantiles[QUANTILES.index(q)]) if row.quantiles else "" for q in SHOWN]
    without = figures.count(unscored.get(language, 0)) if row.source is None else ""
    return (
        language, row.source or "all", figures.count(row.documents), without, *quantiles,
        TableCell(page_bars(row.histogram), "mono"),
    )  # fmt: skip


@dataclass(frozen=True)
class _ScoredDocument:
    score: float
    id: str
    group: RowGroup
    row: int


def _examples(signal: str, artifacts: Sequence[Artifact]) -> Iterator[SampleTexts]:
    """Documents of the largest languages: the lowest score, the highest, and some between."""
    by_language: dict[str, list[_ScoredDocument]] = defaultdict(list)
    sizes: dict[str, int] = defaultdict(int)
    step = max(1, -(-documents_of(artifacts) // MOST_DOCUMENTS))
    for group in row_groups(artifacts, [signal], step=step):
        languages = np.array([language or "unknown" for language in group.languages], object)
        for language in dict.fromkeys(languages.tolist()):
            rows = np.flatnonzero((languages == language) & ~np.isnan(group.signals[signal]))
            sizes[language] += len(rows)
            ordered = rows[np.argsort(group.signals[signal][rows], kind="stable")]
            for row in dict.fromkeys(_spread(ordered.tolist())):
                score = float(group.signals[signal][row])
                by_language[language].append(_ScoredDocument(score, group.ids[row].as_py(), group, row))
    for language in sorted(by_language, key=lambda name: (-sizes[name], name))[:LANGUAGES]:
        documents = sorted(by_language[language], key=lambda document: (document.score, document.id))
        items = tuple(_example(document) for document in _spread(documents))
        yield SampleTexts(items, title=f"{signal}, {language}: from the lowest score to the highest")


def _spread(items: Sequence[_T]) -> list[_T]:
    """The items at PLACES of an ordered list; each once."""
    places = dict.fromkeys(round(place * (len(items) - 1)) for place in PLACES) if items else {}
    return [items[place] for place in places]


def _example(document: _ScoredDocument) -> SampleText:
    text: str = document.group.take(pa.array([document.row]))[0].as_py()
    shown = text if len(text) <= CHARACTERS else text[:CHARACTERS].rstrip() + " …"
    source = document.group.sources[document.row]
    return SampleText("", shown, f"{figures.significant(document.score)} · {source} · {document.id[:12]}")


def _learned(signal: str, learned: JsonObject) -> Iterator[ReportTable]:
    """What `prepare` returned: single figures in a table, and a table for each group of groups."""
    single = {name: value for name, value in learned.items() if not isinstance(value, dict)}
    flat = {name: value for name, value in learned.items() if isinstance(value, dict) and not _is_nested(value)}
    rows = [(name, _text(value)) for name, value in single.items()]
    rows += [(f"{group}: {name}", _text(value)) for group, values in flat.items() for name, value in values.items()]
    if rows:
        columns = (Column("figure"), Column("value", figures=True))
        yield ReportTable(columns, tuple((_words(name), value) for name, value in rows), folded=f"{signal}: the model")
    for group, values in learned.items():
        if isinstance(values, dict) and _is_nested(values):
            yield _nested(f"{signal}: {_words(group)}", values)


def _is_nested(values: JsonObject) -> bool:
    return any(isinstance(value, dict) for value in values.values())


def _nested(title: str, values: JsonObject) -> ReportTable:
    """A row for each group, a column for each of their figures."""
    groups = {name: value if isinstance(value, dict) else {"": value} for name, value in values.items()}
    names = sorted({name for of_group in groups.values() for name in of_group}, key=_natural)
    rows = tuple((_words(group), *(_text(of_group.get(name)) for name in names)) for group, of_group in groups.items())
    return ReportTable((Column(""), *(Column(_words(name), figures=True) for name in names)), rows, folded=title)


def _text(value: JsonValue) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return figures.count(value) if isinstance(value, int) else figures.significant(value)


def _natural(name: str) -> tuple[str, float]:
    """p5 before p25."""
    digits = name.lstrip(string.ascii_letters + "_")
    return name.removesuffix(digits), float(digits) if digits.replace(".", "", 1).isdecimal() else 0.0


def _words(name: str) -> str:
    return name.replace("_", " ")
