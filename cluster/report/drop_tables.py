"""The tables of the data card that say why documents were dropped, for each language and each source.

The first row is what there was, the last one what is left, and those between are the reasons: a column adds up. Tables
are bounded: small languages, sources and reasons share a column or a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from cluster.report.data_stage import DataStage, by_language, by_source
from pipeline.core import figures
from pipeline.core.report import Column, ReportTable, TableCell

MOST_REASONS = 24
MOST_COLUMNS = 6
ALL = "all"
Numbers = Mapping[str, int]
"""Documents by language, or by source."""


class DropReason(NamedTuple):
    """Why documents were dropped, in which stage, and how many of each language or source."""

    stage: str
    name: str
    numbers: Numbers


def drop_tables(counted: Sequence[DataStage]) -> list[ReportTable]:
    """By language, and by source where there are several; none where nothing was dropped or not all is counted."""
    documents = [stage for stage in counted if stage.makes == "documents"]
    if any(stage.dropped is None for stage in documents):
        return []
    reasons = {key: list(_reasons(documents, key)) for key in ("languages", "sources")}
    read = {name: records["records"] for stage in documents[:1] for name, records in stage.records.items()}
    tables = []
    if reasons["languages"]:
        first = next(at for at, stage in enumerate(documents) if stage.dropped)
        before, left = (
            _documents(by_language(stage.sources)) for stage in (documents[max(0, first - 1)], documents[-1])
        )
        rest = "Documents, and their share of those of the language. Records that became no document have none."
        tables.append(_table("language", before, reasons["languages"], left, rest))
    if reasons["sources"] and len(read or by_source(documents[0].sources)) > 1:
        before = read or _documents(by_source(documents[0].sources))
        left = _documents(by_source(documents[-1].sources))
        rest = "Records of raw files, and their share of those of the source." if read else ""
        tables.append(_table("source", before, reasons["sources"], left, rest))
    return tables


def _documents(measures: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    return {name: values.get("documents", 0) for name, values in measures.items()}


def _reasons(stages: Sequence[DataStage], key: str) -> Iterator[DropReason]:
    """The reasons in the order of the stages, of each stage the most frequent first."""
    for stage in stages:
        if key == "sources":
            yield from _ordered(stage.name, stage.lost_records)
        yield from _ordered(stage.name, {name: by_key.get(key, {}) for name, by_key in (stage.dropped or {}).items()})


def _ordered(stage: str, reasons: Mapping[str, Numbers]) -> Iterator[DropReason]:
    for name in sorted(reasons, key=lambda name: (-sum(reasons[name].values()), name)):
        if reasons[name]:
            yield DropReason(stage, name, reasons[name])


def _table(what: str, before: Numbers, reasons: Sequence[DropReason], left: Numbers, rest: str) -> ReportTable:
    names = sorted(before, key=lambda name: (-before[name], name))
    shown = names if len(names) <= MOST_COLUMNS else names[: MOST_COLUMNS - 1]
    others = [*names[len(shown) :], *sorted({name for reason in reasons for name in reason.numbers} - set(names))]
    groups = [[name] for name in shown] + ([others] if others else [])
    titles = [*shown, *([f"{figures.count(len(others))} other {what}s"] if others else []), ALL]

    def row(label: TableCell, numbers: Numbers) -> tuple[TableCell | str, ...]:
        cells = [(sum(numbers.get(name, 0) for name in group), _sum(before, group)) for group in groups]
        cells.append((sum(numbers.values()), sum(before.values())))
        return (label, *(_cell(number, total) for number, total in cells))

    rows = [row(TableCell("records" if rest.startswith("Records") else "documents", "strong"), before)]
    rows += [row(_label(reason), reason.numbers) for reason in _bounded(reasons)]
    rows.append(row(TableCell("left", "strong"), left))
    columns = (Column("reason"), *(Column(title, figures=True) for title in titles))
    return ReportTable(columns, tuple(rows), title=f"Why documents were dropped, by {what}", rest=rest)


def _sum(numbers: Numbers, names: Sequence[str]) -> int:
    return sum(numbers.get(name, 0) for name in names)


def _label(reason: DropReason) -> TableCell:
    return TableCell(parts=((reason.name, reason.stage),))


def _cell(number: int, total: int) -> TableCell:
    if not number:
        return TableCell("0")
    return TableCell(parts=((figures.count(number), "" if number == total else figures.percent(number, total)),))


def _bounded(reasons: Sequence[DropReason]) -> list[DropReason]:
    """The reasons in their order; the least frequent ones as the last row."""
    if len(reasons) <= MOST_REASONS:
        return list(reasons)
    largest = sorted(range(len(reasons)), key=lambda at: (-sum(reasons[at].numbers.values()), at))
    rare = set(largest[MOST_REASONS - 1 :])
    numbers: dict[str, int] = {}
    for at in rare:
        for name, number in reasons[at].numbers.items():
            numbers[name] = numbers.get(name, 0) + number
    shown = [reason for at, reason in enumerate(reasons) if at not in rare]
    return [*shown, DropReason("", f"{figures.count(len(rare))} other reasons", numbers)]
