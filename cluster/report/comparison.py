"""The page of a comparison, and its tables as Markdown: per corpus a row per model, then what the models say.

The page is one self-contained file; the tables hold no path, so that they can be copied into a README.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cluster.comparison import ComparisonPlan
from cluster.machine import machine
from cluster.plan import PlannedStep
from cluster.report.charts import curves
from cluster.report.comparison_rows import ComparedResult, ModelRow, ModelSteps, models_of, row_of, seconds
from cluster.report.templates import rendered
from cluster.summary import summary
from pipeline.core import figures
from pipeline.core.compared import Answer
from pipeline.core.files import replacing
from pipeline.core.report import Series, Tile

PAGE, TABLES = "index.html", "table.md"
TONES = "abcdefgh"
HEADER = ("", "family", "objective", "parameters", "tokens", "tokens/s", "training", "total", "held out", "exported")

Question = tuple[str, str]
"""A prompt, word or text with a gap, and the expected answer where there is one."""


@dataclass(frozen=True)
class SharedStage:
    """A stage that several models have in common: its label, its seconds and its summary."""

    label: str
    seconds: float
    summary: str


@dataclass(frozen=True)
class LossChart:
    """The held-out losses of models that were trained on the same rows with the same objective."""

    objective: str
    legend: tuple[tuple[str, str], ...]  # (entry, tone)
    drawing: str


@dataclass(frozen=True)
class CorpusSection:
    """What the page shows of one corpus. Answers are by question, then by entry."""

    name: str
    rows: tuple[ModelRow, ...]
    shared: tuple[SharedStage, ...]
    charts: tuple[LossChart, ...]
    samples: Mapping[Question, Mapping[str, Answer]]
    neighbours: Mapping[Question, Mapping[str, Answer]]
    gaps: Mapping[Question, Mapping[str, Answer]]

    @property
    def xz(self) -> float | None:
        return next((row.part.xz_bits_per_byte for row in self.rows if row.part.xz_bits_per_byte is not None), None)

    @property
    def most_bits(self) -> float:
        """The value of the longest bar."""
        bits = (figure.bits_per_byte for row in self.rows for figure in row.part.figures)
        return max((value for value in bits if value), default=1.0)


@dataclass(frozen=True)
class ComparisonReport:
    """What `comparison.html.jinja` is given."""

    name: str
    command: str
    hardware: str
    dates: str
    tiles: tuple[Tile, ...]
    corpora: tuple[CorpusSection, ...]


def write(comparing: ComparisonPlan, outcomes: Sequence[ComparedResult], command: str) -> Path:
    """Write the page and the tables into the comparison's folder; returns the path of the page."""
    facts = gather(comparing, outcomes, command)
    page = rendered("comparison.html.jinja", ("page.css", "comparison.css"), facts=facts)
    for name, text in ((PAGE, page), (TABLES, tables(facts))):
        with replacing(comparing.folder / name) as beside:
            beside.write_text(text, encoding="utf-8")
    return comparing.folder / PAGE


def gather(comparing: ComparisonPlan, outcomes: Sequence[ComparedResult], command: str) -> ComparisonReport:
    """Read everything; what is not published yet is marked as not done."""
    tones: dict[str, str] = {}
    corpora = tuple(
        _section(name, [outcome for outcome in outcomes if outcome.compared.corpus == name], comparing.folder, tones)
        for name in dict.fromkeys(run.corpus for run in comparing.runs)
    )
    rows = [row for corpus in corpora for row in corpus.rows]
    work = {step.fingerprint: seconds(step) for outcome in outcomes for step in outcome.steps}
    return ComparisonReport(
        comparing.name, command, hardware(rows), dates(rows), tiles(rows, sum(work.values())), corpora
    )


def _section(name: str, outcomes: Sequence[ComparedResult], folder: Path, tones: dict[str, str]) -> CorpusSection:
    """`tones`: entry → colour, the same on every corpus; new entries are added."""
    models = [model for outcome in outcomes for model in models_of(outcome)]
    shared = _shared(models)
    rows = tuple(row_of(model, shared, folder) for model in models)
    for row in rows:
        tones.setdefault(row.entry, TONES[len(tones) % len(TONES)])
    stages = tuple(
        SharedStage(_label(step), seconds(step), summary(step.artifact.manifest, step.spec))
        for step in shared.values()
        if step.artifact
    )
    return CorpusSection(
        name, rows, stages, tuple(_charts(rows, tones)),
        samples=_by_question((row.entry, row.part.samples) for row in rows),
        neighbours=_by_question((row.entry, row.part.neighbours) for row in rows),
        gaps=_by_question((row.entry, row.part.gaps) for row in rows),
    )  # fmt: skip


def _shared(models: Sequence[ModelSteps]) -> dict[str, PlannedStep]:
    """Fingerprint → step, for the steps that more than one model has."""
    uses = Counter(step.fingerprint for model in models for step in model.steps)
    steps = {step.fingerprint: step for model in models for step in model.steps}
    return {fingerprint: step for fingerprint, step in steps.items() if uses[fingerprint] > 1}


def _label(step: PlannedStep) -> str:
    """A stage, with its kind where there may be several: "tokenizer word"."""
    kind = step.params.get("kind")
    return f"{step.id} {kind}" if isinstance(kind, str) else step.id


def _by_question(answers: Iterator[tuple[str, tuple[Answer, ...]]]) -> dict[Question, dict[str, Answer]]:
    by_question: dict[Question, dict[str, Answer]] = {}
    for entry, of_entry in answers:
        for answer in of_entry:
            by_question.setdefault((answer.question, answer.expected), {})[entry] = answer
    return by_question


def _charts(rows: Sequence[ModelRow], tones: Mapping[str, str]) -> Iterator[LossChart]:
    """A chart for each group of comparable losses; a single curve needs none."""
    for group in dict.fromkeys(row.part.loss_group for row in rows):
        members = [row for row in rows if row.part.loss_group == group and row.part.losses]
        if group and len(members) > 1:
            series = [Series(row.entry, row.part.losses, tones[row.entry], dots=True) for row in members]
            drawing = curves(series, x_label="tokens trained", y_label="held-out loss", height=340)
            legend = tuple((row.entry, tones[row.entry]) for row in members)
            yield LossChart(members[0].part.objective, legend, drawing)


def hardware(rows: Sequence[ModelRow]) -> str:
    """This machine where all models were trained here; else the devices that the models record."""
    hosts = {row.part.trained_at[0] for row in rows if row.part.trained_at}
    devices = [row.part.device for row in rows if row.part.device]
    if not hosts or hosts == {socket.gethostname()}:
        return machine()
    return ", ".join(dict.fromkeys(devices)) or "unknown hardware"


def dates(rows: Sequence[ModelRow]) -> str:
    """The day of the training, or the first and the last."""
    times = [row.part.trained_at[1] for row in rows if row.part.trained_at]
    days = sorted({datetime.fromtimestamp(time).strftime("%Y-%m-%d") for time in times})
    return " to ".join(dict.fromkeys((days[0], days[-1]))) if days else ""


def tiles(rows: Sequence[ModelRow], work_s: float) -> tuple[Tile, ...]:
    """The comparison in a few large figures."""
    done = sum(row.state == "done" for row in rows)
    failed = sum(row.state == "failed" for row in rows)
    remark = f"{failed} failed" if failed else "all done" if done == len(rows) else f"{len(rows) - done} to come"
    tokens = sum(row.part.tokens or 0 for row in rows)
    training_s = sum(row.part.training_s or 0.0 for row in rows)
    return (
        Tile(f"{done} of {len(rows)}", "models", remark),
        Tile(figures.short(tokens), "tokens trained", "sum over all models"),
        Tile(figures.duration(training_s), "training time", "wall-clock, sum over all models"),
        Tile(figures.duration(work_s), "total time", "each stage counted once, cached or not"),
    )


def tables(facts: ComparisonReport) -> str:
    """The tables as Markdown."""
    parts = [f"{facts.name}: {facts.hardware}" + (f", {facts.dates}" if facts.dates else "")]
    for corpus in facts.corpora:
        lines = [HEADER, ("---", "---", "---", *("---:",) * 5, "---", "---"), *map(_cells, corpus.rows)]
        parts.append(f"### {corpus.name}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines))
        notes = [f"`xz -9` needs {corpus.xz:.3f} bits per byte."] if corpus.xz is not None else []
        if corpus.shared:
            stages = ", ".join(f"{stage.label} {figures.duration(stage.seconds)}" for stage in corpus.shared)
            notes.append(f"Run once and shared by several models: {stages}.")
        parts += [" ".join(notes)] if notes else []
    return "\n\n".join(parts) + "\n"


def _cells(row: ModelRow) -> tuple[str, ...]:
    part = row.part
    held_out = "; ".join(
        f"{figure.label} {figure.value}" + f" ({figure.remark})" * bool(figure.remark) for figure in part.figures
    )
    return (
        row.entry, part.family, part.objective, figures.short(part.parameters) if part.parameters else "–",
        _tokens(row),
        figures.short(part.tokens_per_second) if part.tokens_per_second else "–",
        figures.duration(part.training_s) if part.training_s is not None else "–", figures.duration(row.whole_s),
        held_out or ("–" if row.state == "done" else row.state), ", ".join(part.exported) or "–",
    )  # fmt: skip


def _tokens(row: ModelRow) -> str:
    if not row.part.tokens:
        return "–"
    return figures.short(row.part.tokens) + f" {row.part.unit}" * (row.part.unit != "tokens")
