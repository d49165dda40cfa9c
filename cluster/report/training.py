"""The training run as the page shows it: curves over steps, and what it comes to in single figures."""

from __future__ import annotations

import json
from typing import Any

from cluster import figures
from cluster.report.charts import Series, curves
from cluster.run import Run
from pipeline.core.artifact import Artifact
from pipeline.core.shards import batches

Table = list[dict[str, Any]]


def curve(artifact: Artifact | None, run: Run) -> Table:
    """The training curve: of the model artifact, or of the live metrics while there is none."""
    if artifact is not None:
        files = artifact.files("curve.parquet")
        return [row for file in files for batch in batches(file) for row in batch.to_pylist()]
    rows: Table = []
    for path in sorted(run.metrics.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = _line(line)
            if "step" in row:
                rows.append(row)
    return sorted(rows, key=lambda row: row["step"])


def _line(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:  # the line a kill cut short
        return {}
    return found if isinstance(found, dict) else {}


def training_charts(points: Table) -> list[tuple[str, str]]:
    """Loss, learning rate and gradient norm over steps, each a title and its drawing."""
    loss = curves(
        [
            Series("training loss", _pairs(points, "loss"), "a"),
            Series("validation loss", _pairs(points, "validation_loss"), "b", dots=True),
        ],
        x_label="step", y_label="loss",
    )  # fmt: skip
    rate = _small("learning rate", _pairs(points, "learning_rate"), "c")
    norm = _small("gradient norm", _pairs(points, "gradient_norm"), "d")
    named = (("Loss, nats per token", loss), ("Learning rate", rate), ("Gradient norm", norm))
    return [(title, drawing) for title, drawing in named if drawing]


def _small(name: str, pairs: list[tuple[float, float]], tone: str) -> str:
    return curves([Series(name, pairs, tone)], x_label="step", y_label=name, height=200, width=470)


def _pairs(points: Table, key: str) -> list[tuple[float, float]]:
    return [(float(row["step"]), float(row[key])) for row in points if row.get(key) is not None]


def training_figures(points: Table, artifact: Artifact | None) -> list[tuple[str, str]]:
    """The training run in single figures."""
    found = []
    losses, held = _pairs(points, "loss"), _pairs(points, "validation_loss")
    if losses:
        tail = losses[-max(1, len(losses) // 50) :]
        found.append(("last training loss", f"{sum(y for _, y in tail) / len(tail):.3f}"))
    if held:
        found.append(("last validation loss", f"{held[-1][1]:.3f}"))
    if artifact is None:
        return found
    journal = {key: value for line in artifact.journal() for key, value in line.items()}
    if journal.get("tokens_per_second"):
        found.append(("throughput", figures.rate(journal["tokens_per_second"], "tokens")))
    counts = artifact.manifest.counts
    found += [(key.replace("_", " "), figures.count(n)) for key, n in counts.items() if isinstance(n, int)]
    numerics = artifact.manifest.numerics or {}
    plain = {key: value for key, value in numerics.items() if isinstance(value, str | int | float)}
    return found + [(key.replace("_", " "), str(value)) for key, value in plain.items()]
