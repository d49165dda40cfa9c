"""The page of a comparison, and its tables as Markdown: per corpus a row a run, then what the models say side by side.

The page is one file that needs nothing else; the tables hold no path, so that they can stand in a README.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cluster.comparison import ComparisonPlan
from cluster.machine import machine
from cluster.plan import PlannedStep
from cluster.report.charts import curves
from cluster.report.comparison_rows import BITS, Outcome, Row, row_of, seconds
from cluster.report.templates import rendered
from cluster.summary import summary
from pipeline.core import figures
from pipeline.core.files import replacing
from pipeline.core.report import Series

PAGE, TABLES = "index.html", "table.md"
TONES = "abcdefgh"
HEADER = ("", "family", "objective", "parameters", "tokens", "tokens/s", "training", "whole", "held out", "exported")


@dataclass
class Corpus:
    """What the page shows of one corpus."""

    name: str
    rows: list[Row]
    shared: list[tuple[str, float, str]] = field(default_factory=list)
    charts: list[tuple[str, list[tuple[str, str]], str]] = field(default_factory=list)
    # what was asked → entry → what it says
    samples: dict[str, dict[str, str]] = field(default_factory=dict)
    neighbours: dict[str, dict[str, Any]] = field(default_factory=dict)
    gaps: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    @property
    def xz(self) -> float | None:
        return next((row.xz for row in self.rows if row.xz is not None), None)

    def entries(self, attribute: str) -> list[str]:
        """The runs that have samples, neighbours or gaps: the columns."""
        return [row.entry for row in self.rows if getattr(row, attribute)]

    @property
    def most_bits(self) -> float:
        """The longest bar."""
        return max((figure.bits for row in self.rows for figure in row.figures if figure.bits), default=1.0)


@dataclass
class Facts:
    """What `comparison.html.jinja` is given."""

    name: str
    command: str
    hardware: str
    dates: str
    tiles: list[tuple[str, str, str]]
    corpora: list[Corpus]
    tones: dict[str, str]


def write(comparing: ComparisonPlan, outcomes: Sequence[Outcome], command: str) -> Path:
    """Draw both into the comparison's folder; gives the page."""
    facts = gather(comparing, outcomes, command)
    page = rendered("comparison.html.jinja", ("page.css", "comparison.css"), facts=facts)
    for name, text in ((PAGE, page), (TABLES, tables(facts))):
        with replacing(comparing.folder / name) as beside:
            beside.write_text(text, encoding="utf-8")
    return comparing.folder / PAGE


def gather(comparing: ComparisonPlan, outcomes: Sequence[Outcome], command: str) -> Facts:
    """Read everything; what is not done yet says so."""
    entries = list(dict.fromkeys(one.entry for one in comparing.runs))
    tones = {entry: TONES[at % len(TONES)] for at, entry in enumerate(entries)}
    corpora = []
    for name in dict.fromkeys(one.corpus for one in comparing.runs):
        of = [one for one in outcomes if one.compared.corpus == name]
        shared = _shared(of)
        rows = [row_of(one, list(shared), comparing.folder) for one in of]
        stages = [
            (_named(one), seconds(one), summary(one.artifact.manifest, one.spec))
            for one in shared.values()
            if one.artifact
        ]
        corpora.append(_shown(Corpus(name, rows, stages), tones))
    rows = [row for corpus in corpora for row in corpus.rows]
    work = {one.fingerprint: seconds(one) for outcome in outcomes for one in outcome.steps}
    return Facts(comparing.name, command, hardware(rows), dates(rows), tiles(rows, sum(work.values())), corpora, tones)


def _shared(outcomes: Sequence[Outcome]) -> dict[str, PlannedStep]:
    """Fingerprint → stage, of those that more than one run has."""
    often = Counter(one.fingerprint for outcome in outcomes for one in outcome.steps)
    every = {one.fingerprint: one for outcome in outcomes for one in outcome.steps}
    return {fingerprint: one for fingerprint, one in every.items() if often[fingerprint] > 1}


def _named(one: PlannedStep) -> str:
    """A stage, with its kind where there may be several: "tokenizer word"."""
    return f"{one.id} {one.params['kind']}" if isinstance(one.params.get("kind"), str) else one.id


def _shown(corpus: Corpus, tones: dict[str, str]) -> Corpus:
    corpus.charts = list(_charts(corpus.rows, tones))
    for row in corpus.rows:
        for one in row.samples:
            corpus.samples.setdefault(one["prompt"], {})[row.entry] = one["text"]
        for one in row.neighbours:
            corpus.neighbours.setdefault(one["word"], {})[row.entry] = one["neighbours"]
        for one in row.gaps:
            corpus.gaps.setdefault((one["text"], one.get("answer") or ""), {})[row.entry] = one["candidates"]
    return corpus


def _charts(rows: Sequence[Row], tones: dict[str, str]) -> Iterator[tuple[str, list[tuple[str, str]], str]]:
    """A chart for each kind of loss over the same rows: (objective, legend, drawing); one curve needs none."""
    for kind in dict.fromkeys(row.rows_of for row in rows):
        of = [row for row in rows if row.rows_of == kind and row.curve]
        if kind and len(of) > 1:
            series = [Series(row.entry, row.curve, tones[row.entry], dots=True) for row in of]
            drawing = curves(series, x_label="tokens trained", y_label="held-out loss", height=340)
            yield of[0].objective, [(row.entry, tones[row.entry]) for row in of], drawing


def hardware(rows: Sequence[Row]) -> str:
    """This machine where all was trained here; else what the models say of theirs."""
    hosts = {row.trained_at[0] for row in rows if row.trained_at}
    devices = [str(row.numerics["device"]) for row in rows if "device" in row.numerics]
    if not hosts or hosts == {socket.gethostname()}:
        return machine()
    return ", ".join(dict.fromkeys(devices)) or "unknown hardware"


def dates(rows: Sequence[Row]) -> str:
    """The day of the training, or the first and the last."""
    days = sorted({datetime.fromtimestamp(row.trained_at[1]).strftime("%Y-%m-%d") for row in rows if row.trained_at})
    return " to ".join(dict.fromkeys((days[0], days[-1]))) if days else ""


def tiles(rows: Sequence[Row], work_s: float) -> list[tuple[str, str, str]]:
    """The comparison in a few large figures."""
    done, failed = sum(row.state == "done" for row in rows), sum(row.state == "failed" for row in rows)
    remark = f"{failed} failed" if failed else "all done" if done == len(rows) else f"{len(rows) - done} to come"
    tokens = sum(row.tokens or 0 for row in rows)
    training = sum(row.training_s or 0.0 for row in rows)
    return [
        (f"{done} of {len(rows)}", "models", remark),
        (figures.short(tokens), "tokens trained", "over all models"),
        (figures.duration(training), "of training", "on the clock"),
        (figures.duration(work_s), "of work", "every stage once, whenever it ran"),
    ]


def tables(facts: Facts) -> str:
    """The tables as Markdown."""
    parts = [f"{facts.name}: {facts.hardware}" + (f", {facts.dates}" if facts.dates else "")]
    for corpus in facts.corpora:
        lines = [HEADER, ("---", "---", "---", *("---:",) * 5, "---", "---"), *map(_cells, corpus.rows)]
        parts.append(f"### {corpus.name}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines))
        notes = [f"`xz -9` needs {corpus.xz:.3f} {BITS}."] if corpus.xz is not None else []
        if corpus.shared:
            each = ", ".join(f"{stage} {figures.duration(took)}" for stage, took, _ in corpus.shared)
            notes.append(f"Done once for several rows: {each}.")
        parts += [" ".join(notes)] if notes else []
    return "\n\n".join(parts) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    held_out = "; ".join(f"{one.label} {one.value}" + f" ({one.remark})" * bool(one.remark) for one in row.figures)
    return (
        row.entry, row.family, row.objective, figures.short(row.parameters) if row.parameters else "–",
        _many(row),
        figures.short(row.tokens_per_second) if row.tokens_per_second else "–",
        figures.duration(row.training_s) if row.training_s is not None else "–", figures.duration(row.whole_s),
        held_out or ("–" if row.state == "done" else row.state), ", ".join(row.exported) or "–",
    )  # fmt: skip


def _many(row: Row) -> str:
    return "–" if not row.tokens else figures.short(row.tokens) + f" {row.unit}" * (row.unit != "tokens")
