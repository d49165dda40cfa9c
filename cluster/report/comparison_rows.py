"""What one run of a comparison comes to, read from its artifacts: size, speed, time, held-out figures, what it writes.

Kinds of artifact are asked for, not names of stages; what is not there yet is left empty.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.comparison import ComparedRun
from cluster.plan import PlannedStep
from cluster.result import RunResult
from cluster.run import Run
from pipeline.core import figures
from pipeline.core.artifact import Artifact
from pipeline.core.config import name_and_options
from pipeline.core.files import read_json
from pipeline.core.journal import merged
from pipeline.core.registry import load
from pipeline.core.report import Chart, Point, ReportedStep

BITS = "bits per byte"


@dataclass(frozen=True)
class Outcome:
    """A run of the comparison and what it came to."""

    compared: ComparedRun
    result: RunResult

    @property
    def steps(self) -> tuple[PlannedStep, ...]:
        return self.result.steps

    @property
    def done(self) -> bool:
        return self.result.done

    @property
    def run(self) -> Run | None:
        return self.result.run

    def artifact(self, kind: str) -> Artifact | None:
        """The last artifact of a kind."""
        return next((artifact for _, artifact in reversed(self.result.of_kind(kind))), None)

    @property
    def error(self) -> str:
        """Why the run failed, if that is how it ended."""
        return "" if self.done else self.result.error


@dataclass(frozen=True)
class Figure:
    """One held-out figure: what it is, what it says, a remark; `bits` where it is bits per byte."""

    label: str
    value: str
    remark: str = ""
    bits: float | None = None


@dataclass(frozen=True)
class Row:
    """A line of the table, and what is shown below it."""

    entry: str
    corpus: str
    family: str
    objective: str
    state: str
    error: str = ""
    parameters: int | None = None
    tokens: int | None = None
    unit: str = "tokens"  # or cells, where a table of counts is read instead of text
    tokens_per_second: float | None = None
    training_s: float | None = None
    whole_s: float = 0.0
    figures: list[Figure] = field(default_factory=list)
    xz: float | None = None
    exported: list[str] = field(default_factory=list)
    report: str = ""
    samples: list[dict[str, Any]] = field(default_factory=list)
    neighbours: list[dict[str, Any]] = field(default_factory=list)
    gaps: list[dict[str, Any]] = field(default_factory=list)
    curve: list[tuple[float, float]] = field(default_factory=list)
    rows_of: str = ""  # which rows it read: losses over the same ones can be set side by side
    numerics: dict[str, Any] = field(default_factory=dict)
    trained_at: tuple[str, float] | None = None  # host, Unix time


def row_of(outcome: Outcome, shared: Sequence[str], folder: Path) -> Row:
    """`shared`: fingerprints that other runs have too, whose time is nobody's own; links are relative to `folder`."""
    model, scores, files = (outcome.artifact(kind) for kind in ("model", "scores", "files"))
    told = _json(scores, "scores.json")
    done = "done" if outcome.done else "failed" if outcome.error else "not done"
    return Row(
        entry=outcome.compared.entry, corpus=outcome.compared.corpus, state=done, error=outcome.error,
        whole_s=sum(seconds(one) for one in outcome.steps if one.fingerprint not in shared),
        figures=list(held_out(told)), xz=_value(told, "perplexity", "xz_bits_per_byte"),
        exported=[name_and_options(one)[0] for one in files.manifest.params.get("formats", ())] if files else [],
        report=_link(outcome.run, folder), samples=_json(scores, "samples.json"),
        neighbours=_json(scores, "neighbours.json"), gaps=_json(scores, "fill.json"),
        **_kind(outcome), **_training(outcome),
    )  # fmt: skip


def seconds(one: PlannedStep) -> float:
    """How long a stage took when it was last done."""
    lines = one.artifact.journal() if one.artifact else []
    return float(next((line["seconds"] for line in reversed(lines) if "seconds" in line), 0.0))


def _kind(outcome: Outcome) -> dict[str, Any]:
    params = next((one.params for one in outcome.steps if one.spec.makes == "model"), {})
    family, options = name_and_options(params.get("model", outcome.compared.entry))
    objective, _ = name_and_options(params.get("objective", "–"))
    shape = f", {options['shape']} shape" if "shape" in options else ""
    unit = "cells" if any(one.spec.makes == "counts" for one in outcome.steps) else "tokens"
    return {"unit": unit, "family": family + shape, "objective": objective}


def _training(outcome: Outcome) -> dict[str, Any]:
    models = outcome.result.of_kind("model")
    if not models:
        return {}
    step, model = models[-1]
    counts, journal = model.manifest.counts, merged(model.journal())
    tokens, steps = counts.get("tokens"), counts.get("steps")
    each = tokens / steps if tokens and steps else 1.0
    training = journal.get("training_seconds", journal.get("seconds"))
    speed = journal.get("tokens_per_second", tokens / training if tokens and training else None)
    return {
        "parameters": counts.get("parameters"), "tokens": tokens, "training_s": training, "tokens_per_second": speed,
        "curve": [(at * each, loss) for at, loss in _held_out_losses(step, model)], "rows_of": _rows_of(step, model),
        "numerics": model.manifest.numerics or {},
        "trained_at": (journal["host"], journal["started"]) if "host" in journal and "started" in journal else None,
    }  # fmt: skip


def _held_out_losses(step: PlannedStep, model: Artifact) -> list[Point]:
    """(step, loss) where it was taken: the curve with dots in what the model's stage reports."""
    if step.spec.report is None:
        return []
    report = load(step.spec.report)([ReportedStep("", model, (), Path(os.devnull))])
    charts = [block for chapter in report.chapters for block in chapter.blocks if isinstance(block, Chart)]
    return [point for chart in charts for series in chart.series if series.dots for point in series.points]


def _rows_of(step: PlannedStep, model: Artifact) -> str:
    """Which rows a model read, and for what: losses over the same ones can be set side by side."""
    objective, _ = name_and_options(model.manifest.params.get("objective", "–"))
    return " ".join([objective, *(one.fingerprint for one in step.reads.get("tokens", ()))])


# task, its metric, what it is called here, how it is written; the first group of a metric is a file's name
NAMED: tuple[tuple[str, str, str, Callable[[float], str]], ...] = (
    ("perplexity", "bits_per_byte", BITS, lambda value: f"{value:.3f}"),
    ("perplexity", "pseudo_bits_per_byte", f"pseudo-{BITS}", lambda value: f"{value:.3f}"),
    ("perplexity", "(forward|backward)_bits_per_byte", f"{BITS}, {{}}", lambda value: f"{value:.3f}"),
    ("similarity", "(.+): spearman", "similarity, {}", lambda value: f"{value:.3f}"),
    ("analogies", "(.+): accuracy", "analogies, {}", lambda value: f"{100 * value:.1f} %"),
    ("fill", "accuracy", "hidden words found", lambda value: f"{100 * value:.1f} %"),
    ("embeddings", "(.+): precision_at_1", "nearest of its topic, {}", lambda value: f"{100 * value:.1f} %"),
    ("embeddings", "(.+): accuracy_at_1", "own passage first, {}", lambda value: f"{100 * value:.1f} %"),
    ("probe", "(.+): accuracy mix", "topics from its layers, {}", lambda value: f"{100 * value:.1f} %"),
)


def held_out(scores: Sequence[dict[str, Any]]) -> Iterator[Figure]:
    """The figures worth a line, in the order of NAMED; those of a language where there are none of all together."""
    for task, metric, label, written in NAMED:
        seen: set[str] = set()
        for one in sorted(scores, key=lambda one: one.get("language") is not None):
            found = re.fullmatch(metric, one["metric"]) if one["task"] == task else None
            if found and one["metric"] not in seen and one["value"] is not None:
                seen.add(one["metric"])
                named = label.format(*(_stem(group) for group in found.groups()))
                bits = float(one["value"]) if BITS in label else None
                yield Figure(named, written(one["value"]), _remark(one, scores, written), bits)


def _stem(name: str) -> str:
    return re.sub(r"(\.jsonl|\.tsv|\.txt|\.gz)+$", "", name)


def _remark(one: dict[str, Any], scores: Sequence[dict[str, Any]], written: Callable[[float], str]) -> str:
    """Perplexity beside bits per byte, how many could be asked, what it was before training."""
    task, metric = one["task"], one["metric"]
    if task == "perplexity":
        nearby = _value(scores, task, metric.replace("bits_per_byte", "perplexity"))
        return f"perplexity {figures.significant(nearby)}" if nearby is not None else ""
    before = _value(scores, task, f"{metric} before")
    if before is not None:
        return f"before {written(before)}"
    return f"of {figures.count(one['items'])}" if one.get("items") else ""


def _value(scores: Sequence[dict[str, Any]], task: str, metric: str) -> float | None:
    found = [one for one in scores if (one["task"], one["metric"]) == (task, metric) and one["value"] is not None]
    return min(found, key=lambda one: one.get("language") is not None)["value"] if found else None


def _json(artifact: Artifact | None, name: str) -> list[dict[str, Any]]:
    if artifact is None or not artifact.has(name):
        return []
    found: list[dict[str, Any]] = read_json(artifact.file(name))
    return found


def _link(run: Run | None, folder: Path) -> str:
    return Path(os.path.relpath(run.report, folder)).as_posix() if run and run.report.exists() else ""
