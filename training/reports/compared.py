"""What training, evaluation and export contribute to the row of a model in a comparison."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from pipeline.core import figures
from pipeline.core.artifact import Artifact
from pipeline.core.compared import Answer, ComparedStep, HeldOutFigure, RowPart
from pipeline.core.config import name_and_options
from pipeline.core.files import JsonObject, read_json
from pipeline.core.journal import merged
from pipeline.core.report import Point
from training.reports.pretrain import CURVE, curve

BITS = "bits per byte"


def _three_digits(value: float) -> str:
    return f"{value:.3f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


# task, its metric, its label, its format; the first group of a metric is the name of a file
FIGURES: tuple[tuple[str, str, str, Callable[[float], str]], ...] = (
    ("perplexity", "bits_per_byte", BITS, _three_digits),
    ("perplexity", "pseudo_bits_per_byte", f"pseudo-{BITS}", _three_digits),
    ("perplexity", "(forward|backward)_bits_per_byte", f"{BITS}, {{}}", _three_digits),
    ("similarity", "(.+): spearman", "similarity, {}", _three_digits),
    ("analogies", "(.+): accuracy", "analogies, {}", _percent),
    ("fill", "accuracy", "masked words predicted", _percent),
    ("embeddings", "(.+): precision_at_1", "nearest of its topic, {}", _percent),
    ("embeddings", "(.+): accuracy_at_1", "own passage first, {}", _percent),
    ("probe", "(.+): accuracy mix", "topics from its layers, {}", _percent),
)


def pretrain(step: ComparedStep) -> RowPart:
    """What the model is, from the parameters alone; what it cost and its held-out losses, once it is trained."""
    family, options = name_and_options(step.params.get("model", ""))
    objective, _ = name_and_options(step.params.get("objective", "–"))
    shape = f", {options['shape']} shape" if "shape" in options else ""
    unit = "cells" if "counts" in step.reads else "tokens"
    if step.artifact is None:
        return RowPart(family=family + shape, objective=objective, unit=unit)
    counts = step.artifact.manifest.counts
    journal = merged(step.artifact.journal())
    tokens = counts.get("tokens")
    training_s = journal.get("training_seconds", journal.get("seconds"))
    speed = tokens / training_s if tokens and training_s else None
    dated = "host" in journal and "started" in journal
    return RowPart(
        family=family + shape, objective=objective, unit=unit, parameters=counts.get("parameters"), tokens=tokens,
        training_s=training_s, tokens_per_second=journal.get("tokens_per_second", speed),
        losses=_losses(step.artifact), loss_group=" ".join([objective, *step.reads.get("tokens", ())]),
        device=str((step.artifact.manifest.numerics or {}).get("device", "")),
        trained_at=(journal["host"], journal["started"]) if dated else None,
    )  # fmt: skip


def evaluate(step: ComparedStep) -> RowPart:
    """Held-out figures, samples, neighbours and filled gaps."""
    if step.artifact is None:
        return RowPart()
    scores = _rows(step.artifact, "scores.json")
    return RowPart(
        figures=tuple(held_out_figures(scores)), xz_bits_per_byte=_value(scores, "perplexity", "xz_bits_per_byte"),
        samples=tuple(Answer(row["prompt"], row["text"]) for row in _rows(step.artifact, "samples.json")),
        neighbours=tuple(_neighbours(row) for row in _rows(step.artifact, "neighbours.json")),
        gaps=tuple(_gap(row) for row in _rows(step.artifact, "fill.json")),
    )  # fmt: skip


def export(step: ComparedStep) -> RowPart:
    """The formats that were written."""
    if step.artifact is None:
        return RowPart()
    return RowPart(exported=tuple(name_and_options(item)[0] for item in step.params.get("formats", ())))


def held_out_figures(scores: Sequence[JsonObject]) -> Iterator[HeldOutFigure]:
    """The scores worth a line, in the order of FIGURES; one of a single language where there is none of all."""
    for task, pattern, label, formatted in FIGURES:
        metrics: set[str] = set()
        for score in sorted(scores, key=lambda score: score.get("language") is not None):
            match = re.fullmatch(pattern, score["metric"]) if score["task"] == task else None
            if match and score["metric"] not in metrics and score["value"] is not None:
                metrics.add(score["metric"])
                title = label.format(*(_stem(group) for group in match.groups()))
                bits = float(score["value"]) if BITS in label else None
                yield HeldOutFigure(title, formatted(score["value"]), _remark(score, scores, formatted), bits)


def _losses(model: Artifact) -> tuple[Point, ...]:
    """Held-out losses over tokens; over steps where the model does not count tokens."""
    counts = model.manifest.counts
    tokens, steps = counts.get("tokens"), counts.get("steps")
    step_tokens = tokens / steps if tokens and steps else 1.0
    rows = curve(model, model.folder("")) if model.has(CURVE) else []
    return tuple(
        (float(row["step"]) * step_tokens, float(row["validation_loss"]))
        for row in rows
        if row.get("validation_loss") is not None
    )


def _neighbours(row: JsonObject) -> Answer:
    neighbours = row["neighbours"]
    if neighbours is None:
        return Answer(row["word"], "not in the vocabulary")
    return Answer(row["word"], parts=tuple((entry["word"], f"{entry['cosine']:.2f}") for entry in neighbours))


def _gap(row: JsonObject) -> Answer:
    candidates = [candidate for gap in row["candidates"] for candidate in gap]
    parts = tuple((candidate["text"], f"{candidate['probability']:.2f}") for candidate in candidates)
    return Answer(row["text"], parts=parts, expected=row.get("answer") or "")


def _remark(score: JsonObject, scores: Sequence[JsonObject], formatted: Callable[[float], str]) -> str:
    """Perplexity beside bits per byte; the value before training; or the number of items."""
    task, metric = score["task"], score["metric"]
    if task == "perplexity":
        perplexity = _value(scores, task, metric.replace("bits_per_byte", "perplexity"))
        return f"perplexity {figures.significant(perplexity)}" if perplexity is not None else ""
    before = _value(scores, task, f"{metric} before")
    if before is not None:
        return f"before {formatted(before)}"
    return f"of {figures.count(score['items'])}" if score.get("items") else ""


def _value(scores: Sequence[JsonObject], task: str, metric: str) -> float | None:
    values = [row for row in scores if (row["task"], row["metric"]) == (task, metric) and row["value"] is not None]
    overall_first = sorted(values, key=lambda row: row.get("language") is not None)
    return float(overall_first[0]["value"]) if overall_first else None


def _stem(name: str) -> str:
    return re.sub(r"(\.jsonl|\.tsv|\.txt|\.gz)+$", "", name)


def _rows(artifact: Artifact, name: str) -> list[JsonObject]:
    rows = read_json(artifact.file(name)) if artifact.has(name) else []
    return rows if isinstance(rows, list) else []
