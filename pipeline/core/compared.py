"""What a stage contributes to the row of a model in a comparison, as plain values; `cluster/report` lays them out.

A stage's table names a function (ComparedStep) -> RowPart. The parts of a model's stages are merged into one row. Text
is plain: the page escapes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from pipeline.core.artifact import Artifact
from pipeline.core.report import Point


@dataclass(frozen=True)
class ComparedStep:
    """A step of a run: its parameters, what it published (if anything yet), and kind → fingerprints of its inputs."""

    params: Mapping[str, Any]
    artifact: Artifact | None
    reads: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class HeldOutFigure:
    """One held-out figure: its label, its value, a remark; `bits_per_byte` is set where a bar is drawn for it."""

    label: str
    value: str
    remark: str = ""
    bits_per_byte: float | None = None


@dataclass(frozen=True)
class Answer:
    """What a model answers to a question; a corpus shows the answers of all models to one question side by side.

    `parts` are (text, remark) pairs; `text` is shown where there are none.
    """

    question: str
    text: str = ""
    parts: tuple[tuple[str, str], ...] = ()
    expected: str = ""


@dataclass(frozen=True)
class RowPart:
    """The part of a row that one stage knows; what it does not know stays at its default.

    `losses` are held-out losses over tokens; those of models with the same `loss_group` are drawn in one chart.
    """

    family: str = ""
    objective: str = ""
    parameters: int | None = None
    tokens: int | None = None
    unit: str = ""  # of what `tokens` counts
    tokens_per_second: float | None = None
    training_s: float | None = None
    losses: tuple[Point, ...] = ()
    loss_group: str = ""
    device: str = ""
    trained_at: tuple[str, float] | None = None  # host, Unix time
    figures: tuple[HeldOutFigure, ...] = ()
    xz_bits_per_byte: float | None = None
    samples: tuple[Answer, ...] = ()
    neighbours: tuple[Answer, ...] = ()
    gaps: tuple[Answer, ...] = ()
    exported: tuple[str, ...] = ()


RowPartOf = Callable[[ComparedStep], RowPart]


def merge(parts: Iterable[RowPart]) -> RowPart:
    """The parts as one; where two stages know the same thing, the later one counts."""
    merged = RowPart()
    for part in parts:
        known = {field.name: getattr(part, field.name) for field in fields(part)}
        merged = replace(merged, **{name: value for name, value in known.items() if value not in (None, "", ())})
    return merged
