"""The tokenizer and the rows of tokens in a report."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core import figures
from pipeline.core.artifact import Artifact
from pipeline.core.files import JsonObject, read_json
from pipeline.core.report import (
    Chapter,
    Column,
    Done,
    FunnelColumn,
    ReportedStep,
    ReportTable,
    StageReport,
    TableCell,
    Tile,
)
from pipeline.reports.documents import kept

STATS, SPLITS = "stats.json", "splits.json"
OPEN_ROWS = 12  # longer tables of languages are folded
LONGEST_BAR = 6.25  # bytes per token


def tokenizer(steps: Sequence[ReportedStep]) -> StageReport:
    """How well each language is spelled."""
    for step in steps:
        if step.artifact is not None and step.artifact.has(STATS):
            return StageReport(chapters=(_spelling(read_json(step.artifact.file(STATS))),))
    return StageReport()


def _spelling(stats: JsonObject) -> Chapter:
    sample = stats["sample"]
    note = (
        f"{figures.count(stats['vocabulary'])} pieces, learned from {figures.size(sample['bytes'])} of "
        f"{figures.count(sample['documents'])} documents. More bytes a token: fewer tokens for the same text."
    )
    columns = (
        Column("language"), Column("documents", figures=True), Column("text", figures=True),
        Column("bytes per token", figures=True), Column(""),
    )  # fmt: skip
    rows = []
    languages = sorted(stats["languages"].items(), key=lambda item: (-item[1]["corpus"]["bytes"], item[0]))
    for language, language_stats in languages:
        bytes_per_token = language_stats["bytes_per_token"] or 0.0
        bar = TableCell(share=min(1.0, bytes_per_token / LONGEST_BAR))
        corpus = language_stats["corpus"]
        documents, size = figures.count(corpus["documents"]), figures.size(corpus["bytes"])
        rows.append((language, documents, size, f"{bytes_per_token:.2f}" if bytes_per_token else "–", bar))
    folded = figures.plural(len(rows), "language") if len(rows) > OPEN_ROWS else ""
    return Chapter("tokenizer", "Tokenizer", (ReportTable(columns, tuple(rows), folded=folded),), note=note)


def pack(steps: Sequence[ReportedStep]) -> StageReport:
    """Tokens by split and language, and the last column of the funnel."""
    packed = [step.artifact for step in steps if step.artifact is not None]
    if not packed or not packed[0].has(SPLITS):
        return StageReport()
    splits = read_json(packed[0].file(SPLITS))
    tokens = sum(split["tokens"] for split in splits.values())
    held_out = f"{figures.short(splits.get('validation', {}).get('tokens', 0))} held out"
    return StageReport(
        tiles=(Tile(figures.short(tokens), "tokens", held_out),), gates=_gate(packed[0], tokens),
        chapters=(*kept(steps), Chapter("tokenizer", "Tokenizer", (_languages(splits),))), done=_done(splits),
    )  # fmt: skip


def _done(splits: JsonObject) -> tuple[Done, ...]:
    """Lines of the data card: documents and tokens of each split."""
    return tuple(
        Done(f"{name}: {figures.plural(split['documents'], 'document')}, {figures.count(split['tokens'])} tokens "
             f"in {figures.plural(split['rows'], 'row')}{_truncated(split)}", "tokenizer")
        for name, split in splits.items()
    )  # fmt: skip


def _truncated(split: JsonObject) -> str:
    """How many documents lie in several rows, where that was counted."""
    if "truncated" not in split:
        return ""
    share = figures.percent(split["truncated"], split["documents"])
    return f"; {figures.plural(split['truncated'], 'document')} ({share}) cut"


def _gate(artifact: Artifact, tokens: int) -> tuple[FunnelColumn, ...]:
    documents = artifact.manifest.counts.get("in")
    if documents is None:
        return ()
    return (FunnelColumn("tokens", figures.short(tokens), f"{figures.count(documents)} documents", documents),)


def _languages(splits: JsonObject) -> ReportTable:
    tokens: dict[str, int] = {}
    for split in splits.values():
        for name, counts in split["languages"].items():
            tokens[name] = tokens.get(name, 0) + counts["tokens"]
    languages = sorted(tokens, key=lambda name: (-tokens[name], name))
    kinds = ("tokens", "documents")
    columns = [Column(f"{split} {kind}", figures=True) for split in splits for kind in kinds]
    rows = [
        (name, *(figures.count(split["languages"].get(name, {}).get(kind, 0))
                 for split in splits.values() for kind in kinds))
        for name in languages
    ]  # fmt: skip
    title = "Tokens of each language"
    folded = f"{title}: {figures.plural(len(rows), 'language')}" if len(rows) > OPEN_ROWS else ""
    return ReportTable((Column("language"), *columns), tuple(rows), title="" if folded else title, folded=folded)
