"""The data card: what the documents of a run are, by source, language and licence, and what each stage did to them.

It is made of the counts and reports of the stages that are about documents, whichever these are.
Nothing is read but manifests. Tables are bounded: the smallest sources and languages share a row, so sums still agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.report.card_tables import done_table, languages_table, sources_table, stage_by_stage
from cluster.report.data_stage import DataStage, add, by_language, by_source, summed
from cluster.report.drop_tables import drop_tables
from pipeline.core import figures
from pipeline.core.counts import BySource, Measures
from pipeline.core.report import ChapterBlock, Figures

NOT_STATED = "not stated"


@dataclass(frozen=True)
class DataCard:
    """The card, and what its front matter needs: of the documents that are left, measures by language, documents by
    licence (`NOT_STATED` where there is none)."""

    blocks: tuple[ChapterBlock, ...]
    documents: int
    languages: Mapping[str, Measures]
    licences: Mapping[str, int]


def data_card(stages: Sequence[DataStage]) -> DataCard | None:
    """The card of the stages of a run, in their order; None where there is none."""
    if not stages:
        return None
    counted = [stage for stage in stages if stage.sources]
    stated: dict[str, str] = {}
    for stage in stages:
        stated |= stage.report.licences
    done = done_table(stages)
    if not counted:
        return DataCard((done,), stages[-1].documents, {}, {})
    final = counted[-1].sources
    licences = _licences(counted, stated)
    languages = by_language(final)
    blocks: tuple[ChapterBlock, ...] = (
        _totals(final, languages, licences), sources_table(counted, licences), languages_table(languages),
        stage_by_stage("source", counted, by_source), stage_by_stage("language", counted, by_language),
        *drop_tables(counted), done,
    )  # fmt: skip
    totals: dict[str, int] = {}
    for of_source in licences.values():
        for licence, number in of_source.items():
            totals[licence] = totals.get(licence, 0) + number
    return DataCard(blocks, stages[-1].documents, languages, totals)


def _licences(counted: Sequence[DataStage], stated: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Source → licence → documents that are left, by what documents state and else by what the configuration states."""
    documents = [stage for stage in counted if stage.makes == "documents"] or list(counted)
    licences = {}
    for source, counts in documents[-1].sources.items():
        of_source = dict(counts["licences"])
        rest = summed(counts).get("documents", 0) - sum(of_source.values())
        if rest:
            name = stated.get(source, NOT_STATED)
            of_source[name] = of_source.get(name, 0) + rest
        licences[source] = of_source
    return licences


def _totals(sources: BySource, languages: Mapping[str, Measures], licences: Mapping[str, Mapping[str, int]]) -> Figures:
    total: Measures = {}
    for measures in languages.values():
        add(total, measures)
    names = {name for of_source in licences.values() for name in of_source if name != NOT_STATED}
    items = [
        ("documents", figures.count(total.get("documents", 0))),
        ("text", figures.size(total.get("bytes", 0))),
        ("characters", figures.short(total.get("characters", 0))),
        ("sources", figures.count(len(sources))),
        ("languages", figures.count(len(languages))),
        ("licences stated", figures.count(len(names))),
    ]
    if "tokens" in total:
        items.insert(3, ("tokens", figures.short(total["tokens"])))
    return Figures(tuple(items))
