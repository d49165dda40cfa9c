"""Scores and texts of models in a report; several models stand side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.core import figures
from pipeline.core.artifact import Artifact
from pipeline.core.files import read_json
from pipeline.core.report import (
    Cell,
    Chapter,
    Column,
    ReportedStep,
    Sample,
    Samples,
    StageReport,
    Table,
    Tile,
)

Rows = list[dict[str, Any]]
TEXTS = ("prompt", "text", "completion", "continuation")


def evaluate(steps: Sequence[ReportedStep]) -> StageReport:
    """A table of scores with a column a model, then what each writes, finds near words and puts into gaps."""
    done = [step for step in steps if step.artifact is not None]
    scores = [(step.name, _rows(step.artifact, "scores.json")) for step in done]
    chapters = [*_scores(scores)]
    for step in done:
        chapters += [
            *_samples(step.name, _rows(step.artifact, "samples.json")),
            *_neighbours(step.name, _rows(step.artifact, "neighbours.json")),
            *_gaps(step.name, _rows(step.artifact, "fill.json")),
        ]
    return StageReport(tuple(tile for name, rows in scores for tile in _tiles(name, rows)), (), tuple(chapters))


def _rows(artifact: Artifact | None, name: str) -> Rows:
    if artifact is None or not artifact.has(name):
        return []
    rows = read_json(artifact.file(name))
    return rows if isinstance(rows, list) else []


def _tiles(name: str, scores: Rows) -> tuple[Tile, ...]:
    values = {(row["task"], row["metric"]): row["value"] for row in scores if row.get("language") in (None, "all")}
    bits, xz = values.get(("perplexity", "bits_per_byte")), values.get(("perplexity", "xz_bits_per_byte"))
    if bits is None:
        return ()
    label = f"bits per byte, {name}" if name else "bits per byte"
    return (Tile(f"{bits:.3f}", label, f"{bits / xz:.2f} × xz -9" if xz else "held-out text"),)


def _scores(scores: Sequence[tuple[str, Rows]]) -> tuple[Chapter, ...]:
    keys = list(dict.fromkeys(_key(row) for _, rows in scores for row in rows))
    if not keys:
        return ()
    several = len(scores) > 1
    columns = [Column("task"), Column("metric"), Column("language")]
    for name, _ in scores:
        columns += [Column(name if several else "value", figures=True), Column("interval", figures=True)]
    by_key = [{_key(row): row for row in rows} for _, rows in scores]
    table = []
    for key in keys:
        cells: list[Cell | str] = [*key]
        for rows_of_model in by_key:
            score = rows_of_model.get(key, {})
            cells += [_score(score.get("value")), Cell(_interval(score.get("interval")), "unit")]
        items = next((row["items"] for rows in by_key if (row := rows.get(key)) and row.get("items") is not None), None)
        table.append((*cells, "–" if items is None else figures.count(items)))
    block = Table((*columns, Column("items", figures=True)), tuple(table))
    return (Chapter("scores", "Scores", (block,)),)


def _key(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["task"], row["metric"], row.get("language") or "all"


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}" if abs(value) < 100 else figures.count(value)


def _interval(value: Any) -> str:
    if not value:
        return ""
    low, high = value
    return f"{_score(low)} – {_score(high)}"


def _samples(name: str, rows: Rows) -> tuple[Chapter, ...]:
    items = []
    for row in rows:
        prompt = row.get("prompt", "")
        text = row.get("text") or row.get("completion") or row.get("continuation") or ""
        rest = [f"{key} {value}" for key, value in row.items() if key not in TEXTS and value is not None]
        items.append(Sample(prompt, text.removeprefix(prompt), " · ".join(rest)))
    block = Samples(tuple(items), title=name)
    return (Chapter("samples", "What the model writes", (block,), link="Samples"),) if items else ()


def _neighbours(name: str, rows: Rows) -> tuple[Chapter, ...]:
    if not rows:
        return ()
    table = []
    for row in rows:
        near = row["neighbours"]
        parts = tuple((one["word"], f"{one['cosine']:.2f}") for one in near or ())
        cell = Cell("not in the vocabulary", "note") if near is None else Cell(parts=parts)
        table.append((Cell(row["word"], "strong"), row["language"] or "–", cell))
    block = Table((Column("word"), Column("language"), Column("neighbours")), tuple(table), title=name)
    note = "The words whose vectors are nearest by cosine, the nearest first."
    return (Chapter("neighbours", "What lies near a word", (block,), note=note, link="Neighbours"),)


def _gaps(name: str, rows: Rows) -> tuple[Chapter, ...]:
    if not rows:
        return ()
    table = []
    for row in rows:
        parts = tuple((one["text"], f"{one['probability']:.2f}") for gap in row["candidates"] for one in gap)
        table.append((row["text"], row["language"] or "–", Cell(row["answer"] or "–", "strong"), Cell(parts=parts)))
    columns = (Column("text"), Column("language"), Column("hidden"), Column("candidates"))
    note = "Prompts, and held-out text with a word hidden; the likeliest fillings first."
    chapter = Chapter(
        "gaps", "What the model puts into gaps", (Table(columns, tuple(table), title=name),), note, "Gaps"
    )
    return (chapter,)
