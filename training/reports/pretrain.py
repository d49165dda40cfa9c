"""Training runs in a report: curves over steps, several models side by side, and the figures of each run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.core import figures
from pipeline.core.artifact import Artifact
from pipeline.core.files import JsonObject, JsonValue, read_json
from pipeline.core.journal import JournalLine, merged
from pipeline.core.order import TrainingAnomaly
from pipeline.core.report import (
    Chapter,
    ChapterBlock,
    Chart,
    Column,
    Figures,
    ReportedStep,
    ReportTable,
    Series,
    StageReport,
    TableCell,
)
from pipeline.core.shards import batches

CurveRows = list[JsonObject]
CURVE, ANOMALIES = "curve.parquet", "anomalies.json"
MOST_ANOMALIES, MOST_ROWS = 50, 8
# kinds of training/trainer/goodput.py
WALL_TIME = {
    "start_up": "start-up", "data_wait": "waiting for data", "compute": "computing steps", "validation": "validation",
    "checkpoint": "checkpoints and the model", "restart": "restarts and lost steps", "ending": "ending the workers",
    "publish": "publishing the model", "other": "not accounted",
}  # fmt: skip
# a model's training and validation curve share a pair of colours
PAIRS = (("a", "b"), ("c", "d"), ("e", "f"), ("g", "h"))


def pretrain(steps: Sequence[ReportedStep]) -> StageReport:
    """Loss, learning rate and gradient norm of every model, then its figures."""
    curves = [(step, curve(step.artifact, step.metrics)) for step in steps]
    blocks: list[ChapterBlock] = [
        *_charts(curves),
        *(block for step, rows in curves if (block := _figures(step, rows)).items),
        *(table for step, _ in curves if (table := anomalies(step)) is not None),
        *(table for step, _ in curves if (table := mixture(step)) is not None),
        *(table for step, _ in curves if (table := wall_time(step)) is not None),
    ]
    return StageReport(chapters=(Chapter("training", "Training", tuple(blocks)),) if blocks else ())


def curve(artifact: Artifact | None, metrics: Path) -> CurveRows:
    """The training curve: of the model artifact, or of the live metrics while there is none."""
    if artifact is not None:
        return [row for file in artifact.files(CURVE) for batch in batches(file) for row in batch.to_pylist()]
    rows: CurveRows = []
    for path in sorted(metrics.glob("*.jsonl")):
        rows += [row for line in path.read_text(encoding="utf-8").splitlines() if "step" in (row := _parse_row(line))]
    return sorted(rows, key=lambda row: row["step"])


def _parse_row(text: str) -> JsonObject:
    try:
        row: JsonValue = json.loads(text)
    except ValueError:  # a line that a killed process left incomplete
        return {}
    return row if isinstance(row, dict) else {}


def _charts(curves: Sequence[tuple[ReportedStep, CurveRows]]) -> list[Chart]:
    losses, rates, norms = [], [], []
    for at, (step, rows) in enumerate(curves):
        training, validation = PAIRS[at % len(PAIRS)]
        prefix = f"{step.name} " if step.name else ""
        losses += [
            Series(f"{prefix}training loss", _points(rows, "loss"), training),
            Series(f"{prefix}validation loss", _points(rows, "validation_loss"), validation, dots=True),
        ]
        tone = training if step.name else "c"
        rates.append(Series(step.name or "learning rate", _points(rows, "learning_rate"), tone))
        norms.append(Series(step.name or "gradient norm", _points(rows, "gradient_norm"), tone if step.name else "d"))
    charts = (
        Chart("Loss, nats per token", tuple(losses), "step", "loss"),
        Chart("Learning rate", tuple(rates), "step", "learning rate", narrow=True),
        Chart("Gradient norm", tuple(norms), "step", "gradient norm", narrow=True),
    )
    return [chart for chart in charts if any(series.points for series in chart.series)]


def _points(rows: CurveRows, key: str) -> list[tuple[float, float]]:
    return [(float(row["step"]), float(row[key])) for row in rows if row.get(key) is not None]


def _figures(step: ReportedStep, rows: CurveRows) -> Figures:
    """The training run in single figures."""
    items: list[tuple[str, str]] = []
    losses, held_out = _points(rows, "loss"), _points(rows, "validation_loss")
    if losses:
        tail = losses[-max(1, len(losses) // 50) :]
        items.append(("last training loss", f"{sum(y for _, y in tail) / len(tail):.3f}"))
    if held_out:
        items.append(("last validation loss", f"{held_out[-1][1]:.3f}"))
    if step.artifact is not None:
        items += _of_artifact(step.artifact)
    return Figures(tuple(items), title=step.name)


def wall_time(step: ReportedStep) -> ReportTable | None:
    """The wall time of the run that finished it, by what it was spent on; None if it was not measured."""
    journal: JournalLine = merged(step.artifact.journal()) if step.artifact is not None else {}
    seconds_of_kind = journal.get("goodput")
    if not seconds_of_kind:
        return None
    known = {**seconds_of_kind, "publish": journal.get("publish_seconds", 0.0)}
    measured = sum(known.values())
    total = max(journal.get("seconds", 0.0), measured)
    parts = {**known, "other": total - measured}
    rows = tuple(
        (
            label,
            figures.duration(parts[kind]),
            TableCell(share=parts[kind] / total),
            figures.percent(parts[kind], total),
        )
        for kind, label in WALL_TIME.items()
        if kind in parts  # an artifact of an earlier release has fewer
    )
    columns = (Column("wall time"), Column("", figures=True), Column(""), Column("share", figures=True))
    named = f" of {step.name}" if step.name else ""
    title = f"Goodput{named}: {figures.percent(seconds_of_kind['compute'], total)} of {figures.duration(total)}"
    earlier = journal.get("attempt", 1) - 1 - len(journal.get("restarts", ()))
    attempts = figures.plural(earlier, "attempt")
    rest = f"The time of earlier runs ({attempts}) is not in it." if earlier > 0 else ""
    return ReportTable(columns, rows, title=title, rest=rest)


def anomalies(step: ReportedStep) -> ReportTable | None:
    """The batches that were not finite or a spike, and what was done; None where there were none."""
    if step.artifact is None or not step.artifact.has(ANOMALIES):
        return None
    entries: list[TrainingAnomaly] = read_json(step.artifact.file(ANOMALIES))
    rows = tuple(
        (
            figures.count(entry["step"]),
            f"{entry['quantity']}: " + ("not finite" if entry["value"] is None else f"{entry['value']:.4g}"),
            "–" if entry["usual"] is None else f"{entry['usual']:.4g}",
            entry["action"] + (f", from step {entry['first']:,}" if entry["first"] < entry["step"] else ""),
            ", ".join(str(row["row"]) for row in entry["rows"][:MOST_ROWS]) or "none stands out",
        )
        for entry in entries[:MOST_ANOMALIES]
    )
    columns = (Column("step", figures=True), Column("what"), Column("usual", figures=True), Column("batch"),
               Column("rows", text=True))  # fmt: skip
    named = f" of {step.name}" if step.name else ""
    more = f"and {len(entries) - MOST_ANOMALIES:,} more. " if len(entries) > MOST_ANOMALIES else ""
    rest = f"{more}The documents of these rows: bloomery trace --anomalies"
    return ReportTable(columns, rows, title=f"Anomalous batches{named}", rest=rest)


def mixture(step: ReportedStep) -> ReportTable | None:
    """How often the rows of each source and language were read, where these have weights."""
    groups = step.artifact.manifest.counts.get("mixture") if step.artifact is not None else None
    if not groups:
        return None
    total = sum(group["read"] for group in groups)
    rows = tuple(
        (
            group["source"], group["language"], figures.count(group["rows"]), figures.count(group["read"]),
            TableCell(share=group["read"] / max(total, 1)), figures.percent(group["read"], total),
            f"{group['read'] / group['rows']:.2f}",
        )
        for group in groups
    )  # fmt: skip
    columns = (
        Column("source"), Column("language"), Column("rows", figures=True), Column("read", figures=True), Column(""),
        Column("share", figures=True), Column("epochs", figures=True),
    )  # fmt: skip
    return ReportTable(columns, rows, title=f"Mixture{f' of {step.name}' if step.name else ''}")


def _of_artifact(artifact: Artifact) -> list[tuple[str, str]]:
    journal = merged(artifact.journal())
    speed = journal.get("tokens_per_second")
    items = [("throughput", figures.rate(speed, "tokens"))] if speed else []
    counts = artifact.manifest.counts
    items += [(key.replace("_", " "), figures.count(n)) for key, n in counts.items() if isinstance(n, int)]
    numerics = artifact.manifest.numerics or {}
    plain = {key: value for key, value in numerics.items() if isinstance(value, str | int | float)}
    return items + [(key.replace("_", " "), str(value)) for key, value in plain.items()]
