"""The tables of the data card. They are bounded: the smallest sources or languages share a row, so sums agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from cluster.report.data_stage import DataStage, add, by_source
from pipeline.core import figures
from pipeline.core.counts import BySource, Measures, SourceCounts
from pipeline.core.report import Column, ReportTable, TableCell

MOST_ROWS = 20
MOST_LICENCES = 3  # in a cell
LONGEST_NAME = 40  # characters of a licence or language in a cell
LICENCE_NOTE = (
    "The licence is what a document states in the field licence or license of its metadata, else what the option "
    "licence of its source states. It is repeated as it was found."
)
UNCOUNTED = "Artifacts of an earlier version have no counts by source and language; run with --force to count them."
TableRow = tuple[TableCell | str, ...]


def sources_table(counted: Sequence[DataStage], licences: Mapping[str, Mapping[str, int]]) -> ReportTable:
    """Each source with its licence, its languages, and how much of it was read and is left."""
    read, left = by_source(counted[0].sources), by_source(counted[-1].sources)
    first: dict[str, Measures] = {}
    for part in counted[0].parts:
        for source, records in part.get("records_by_source", {}).items():
            add(first.setdefault(source, {}), {
                "records": records["records"], "quarantined": sum(records["quarantined"].values()),
                "skipped": sum(records["skipped"].values()),
            })  # fmt: skip
    of_records = ["records", "quarantined"] if first else []
    of_records += ["skipped"] if any(records["skipped"] for records in first.values()) else []
    rows = []
    for name, members in _largest({**dict.fromkeys(first, {}), **read}, "sources"):
        before, after, raw = (_of(members, values) for values in (read, left, first))
        kept = after.get("documents", 0)
        rows.append((
            TableCell(name, "strong"), _licence_cell([licences.get(member, {}) for member in members]),
            _language_cell([counted[-1].sources[member] for member in members if member in counted[-1].sources]),
            *(figures.count(raw.get(column, 0)) for column in of_records),
            figures.count(before.get("documents", 0)), figures.count(kept),
            figures.percent(kept, before.get("documents", 0)), figures.size(after.get("bytes", 0)),
            *((figures.short(after.get("tokens", 0)),) if _has_tokens(left) else ()),
        ))  # fmt: skip
    titles = (*of_records, "read", "left", "share", "text", *(("tokens",) if _has_tokens(left) else ()))
    columns = (
        Column("source"), Column("licence", text=True), Column("languages", text=True),
        *(Column(title, figures=True) for title in titles),
    )  # fmt: skip
    return ReportTable(columns, tuple(rows), title="Sources", rest=LICENCE_NOTE)


def languages_table(languages: Mapping[str, Measures]) -> ReportTable:
    """Each language of what is left."""
    has_tokens = _has_tokens(languages)
    unit = "tokens" if has_tokens else "bytes"
    total = sum(measures.get(unit, 0) for measures in languages.values())
    documents = sum(measures.get("documents", 0) for measures in languages.values())
    rows = []
    for name, members in _largest(languages, "languages"):
        measures = _of(members, languages)
        share = measures.get(unit, 0)
        rows.append((
            TableCell(name, "strong"), figures.count(measures.get("documents", 0)),
            figures.percent(measures.get("documents", 0), documents), figures.size(measures.get("bytes", 0)),
            figures.short(measures.get("characters", 0)),
            *((figures.short(measures.get("tokens", 0)),) if has_tokens else ()),
            figures.percent(share, total), TableCell(share=share / total if total else 0.0),
        ))  # fmt: skip
    titles = ("documents", "share", "text", "characters", *(("tokens",) if has_tokens else ()), f"share of {unit}")
    columns = (Column("language"), *(Column(title, figures=True) for title in titles), Column(""))
    return ReportTable(columns, tuple(rows), title="Languages of what is left")


def stage_by_stage(
    what: str, counted: Sequence[DataStage], measure: Callable[[BySource], dict[str, Measures]]
) -> ReportTable:
    """Documents and text after every stage."""
    by_stage = [measure(stage.sources) for stage in counted]
    names: dict[str, Measures] = {}
    for measures in by_stage:
        for name, value in measures.items():
            if value.get("documents", 0) > names.get(name, {}).get("documents", 0):
                names[name] = value
    rows: list[TableRow] = []
    for name, members in _largest(names, f"{what}s"):
        cells = [_amount(_of(members, measures)) for measures in by_stage]
        rows.append((TableCell(name, "strong"), *cells))
    sums = [_of(list(measures), measures) for measures in by_stage]
    rows.append((TableCell("all", "strong"), *(_amount(total) for total in sums)))
    columns = (Column(what), *(Column(stage.name, figures=True) for stage in counted))
    rest = "Documents, and bytes of their text or tokens, after each stage."
    if what == "language":
        rest += " A document whose language is identified anew moves to another row."
    return ReportTable(columns, tuple(rows), title=f"Stage by stage, by {what}", rest=rest)


def done_table(stages: Sequence[DataStage]) -> ReportTable:
    """What each stage did, with a link to the details."""
    rows: list[TableRow] = []
    for stage in stages:
        for index, line in enumerate(stage.done):
            link = TableCell("details", link=line.chapter) if line.chapter else ""
            name, numbers = TableCell(stage.name, "strong"), (stage.documents, stage.lost())
            # models that score documents leave them as they are
            left, removed = (figures.count(number) if stage.counts_sources else "" for number in numbers)
            rows.append(("", line.text, "", "", link) if index else (name, line.text, left, removed, link))
    columns = (
        Column("stage"), Column("what was done", text=True), Column("documents left", figures=True),
        Column("removed", figures=True), Column(""),
    )  # fmt: skip
    uncounted = any(stage.counts_sources and not stage.sources for stage in stages)
    return ReportTable(columns, tuple(rows), title="What was done", rest=UNCOUNTED if uncounted else "")


def _largest(values: Mapping[str, Measures], noun: str) -> list[tuple[str, list[str]]]:
    """Rows of a table, the largest first: a name and whose measures it holds; the last row may stand for several."""
    ordered = sorted(values, key=lambda name: (-values[name].get("documents", 0), name))
    if len(ordered) <= MOST_ROWS:
        return [(name, [name]) for name in ordered]
    rest = ordered[MOST_ROWS - 1 :]
    return [*((name, [name]) for name in ordered[: MOST_ROWS - 1]), (f"{figures.count(len(rest))} other {noun}", rest)]


def _of(members: Sequence[str], values: Mapping[str, Measures]) -> Measures:
    total: Measures = {}
    for member in members:
        add(total, values.get(member, {}))
    return total


def _amount(measures: Measures) -> TableCell:
    if not measures.get("documents"):
        return TableCell("0")
    tokens = measures.get("tokens")
    amount = figures.size(measures["bytes"]) if tokens is None else f"{figures.short(tokens)} tokens"
    return TableCell(parts=((figures.count(measures["documents"]), amount),))


def _licence_cell(licences: Sequence[Mapping[str, int]]) -> TableCell:
    total: dict[str, int] = {}
    for of_source in licences:
        add(total, of_source)
    return _shares(total)


def _language_cell(counts: Sequence[SourceCounts]) -> TableCell:
    total: dict[str, int] = {}
    for of_source in counts:
        add(total, {name: measures["documents"] for name, measures in of_source["languages"].items()})
    return _shares(total)


def _shares(numbers: Mapping[str, int]) -> TableCell:
    """The largest names with their shares; a single one without."""
    ordered = sorted(numbers, key=lambda name: (-numbers[name], name))
    if len(ordered) < 2:
        return TableCell(_short(ordered[0]) if ordered else "–")
    total = sum(numbers.values())
    shown = [(_short(name), figures.percent(numbers[name], total)) for name in ordered[:MOST_LICENCES]]
    rest = ordered[MOST_LICENCES:]
    if rest:
        shown.append((f"{len(rest)} more", figures.percent(sum(numbers[name] for name in rest), total)))
    return TableCell(parts=tuple(shown))


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _has_tokens(measures: Mapping[str, Measures]) -> bool:
    return any("tokens" in of_name for of_name in measures.values())
