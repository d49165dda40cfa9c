"""Scores and texts of models in a report; several models are shown side by side."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core import figures
from pipeline.core.artifact import Artifact
from pipeline.core.files import JsonObject, read_json
from pipeline.core.report import (
    Chapter,
    Column,
    ReportedStep,
    ReportTable,
    SampleText,
    SampleTexts,
    StageReport,
    TableCell,
    Tile,
)

ALL = "all"  # in the column of languages
OPEN_ROWS = 40  # of a longer table, those of single languages are folded
TEXTS = ("prompt", "text", "completion", "continuation")


def evaluate(steps: Sequence[ReportedStep]) -> StageReport:
    """A table of scores with a column for each model, then the generated text, neighbours and gaps of each model."""
    evaluated = [step for step in steps if step.artifact is not None]
    scores = [(step.name, _read_rows(step.artifact, "scores.json")) for step in evaluated]
    chapters = [*_scores(scores)]
    for step in evaluated:
        chapters += [
            *_samples(step.name, _read_rows(step.artifact, "samples.json")),
            *_neighbours(step.name, _read_rows(step.artifact, "neighbours.json")),
            *_gaps(step.name, _read_rows(step.artifact, "fill.json")),
        ]
    return StageReport(tuple(tile for name, rows in scores for tile in _tiles(name, rows)), (), tuple(chapters))


def _read_rows(artifact: Artifact | None, file: str) -> list[JsonObject]:
    if artifact is None or not artifact.has(file):
        return []
    rows = read_json(artifact.file(file))
    return rows if isinstance(rows, list) else []


def _tiles(name: str, scores: Sequence[JsonObject]) -> tuple[Tile, ...]:
    values = {(row["task"], row["metric"]): row["value"] for row in scores if row.get("language") in (None, "all")}
    bits, xz = values.get(("perplexity", "bits_per_byte")), values.get(("perplexity", "xz_bits_per_byte"))
    if bits is None:
        return ()
    label = f"bits per byte, {name}" if name else "bits per byte"
    return (Tile(f"{bits:.3f}", label, f"{bits / xz:.2f} × xz -9" if xz else "held-out text"),)


def _scores(scores: Sequence[tuple[str, list[JsonObject]]]) -> tuple[Chapter, ...]:
    keys = list(dict.fromkeys(_key(row) for _, rows in scores for row in rows))
    if not keys:
        return ()
    several = len(scores) > 1
    columns = [Column("task"), Column("metric"), Column("language")]
    for name, _ in scores:
        columns += [Column(name if several else "value", figures=True), Column("interval", figures=True)]
    rows_by_key = [{_key(row): row for row in rows} for _, rows in scores]
    table = []
    for key in keys:
        cells: list[TableCell | str] = [*key]
        for rows_of_model in rows_by_key:
            score = rows_of_model.get(key, {})
            cells += [_score(score.get("value")), TableCell(_interval(score.get("interval")), "unit")]
        table.append((*cells, _items(key, rows_by_key)))
    all_columns = (*columns, Column("items", figures=True))
    if len(table) <= OPEN_ROWS:
        return (Chapter("scores", "Scores", (ReportTable(all_columns, tuple(table)),)),)
    of_all, of_languages = ([row for row in table if (row[2] == ALL) is is_whole] for is_whole in (True, False))
    folded = figures.plural(len(of_languages), "score") + " by language"
    blocks = (
        ReportTable(all_columns, tuple(of_all)), ReportTable(all_columns, tuple(of_languages), folded=folded)
    )  # fmt: skip
    return (Chapter("scores", "Scores", tuple(block for block in blocks if block.rows)),)


def _key(row: JsonObject) -> tuple[str, str, str]:
    return row["task"], row["metric"], row.get("language") or ALL


def _items(key: tuple[str, str, str], rows_by_key: Sequence[dict[tuple[str, str, str], JsonObject]]) -> str:
    """The number of items of the first model that has the score and says it."""
    counts = (rows[key].get("items") for rows in rows_by_key if key in rows)
    items = next((count for count in counts if count is not None), None)
    return "–" if items is None else figures.count(items)


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}" if abs(value) < 100 else figures.count(value)


def _interval(value: tuple[float, float] | None) -> str:
    if not value:
        return ""
    low, high = value
    return f"{_score(low)} – {_score(high)}"


def _samples(name: str, rows: Sequence[JsonObject]) -> tuple[Chapter, ...]:
    items = []
    for row in rows:
        prompt = row.get("prompt", "")
        text = row.get("text") or row.get("completion") or row.get("continuation") or ""
        settings = [f"{key} {value}" for key, value in row.items() if key not in TEXTS and value is not None]
        items.append(SampleText(prompt, text.removeprefix(prompt), " · ".join(settings)))
    block = SampleTexts(tuple(items), title=name)
    return (Chapter("samples", "Generated text", (block,), link="Samples"),) if items else ()


def _neighbours(name: str, rows: Sequence[JsonObject]) -> tuple[Chapter, ...]:
    if not rows:
        return ()
    table = []
    for row in rows:
        neighbours = row["neighbours"]
        parts = tuple((neighbour["word"], f"{neighbour['cosine']:.2f}") for neighbour in neighbours or ())
        cell = TableCell("not in the vocabulary", "note") if neighbours is None else TableCell(parts=parts)
        table.append((TableCell(row["word"], "strong"), row["language"] or "–", cell))
    block = ReportTable((Column("word"), Column("language"), Column("neighbours")), tuple(table), title=name)
    note = "The words whose vectors are nearest by cosine, the nearest first."
    return (Chapter("neighbours", "Nearest words", (block,), note=note, link="Neighbours"),)


def _gaps(name: str, rows: Sequence[JsonObject]) -> tuple[Chapter, ...]:
    if not rows:
        return ()
    table = []
    for row in rows:
        candidates = [candidate for gap in row["candidates"] for candidate in gap]
        parts = tuple((candidate["text"], f"{candidate['probability']:.2f}") for candidate in candidates)
        table.append(
            (row["text"], row["language"] or "–", TableCell(row["answer"] or "–", "strong"), TableCell(parts=parts))
        )
    columns = (Column("text"), Column("language"), Column("hidden"), Column("candidates"))
    note = "Prompts, and held-out text with a word masked; the likeliest fillings first."
    return (Chapter("gaps", "Filled gaps", (ReportTable(columns, tuple(table), title=name),), note, "Gaps"),)
