"""What a stage shows in a report, as plain values; `cluster/report` renders them.

A stage's table names a function (Sequence[ReportedStep]) -> StageReport. It is called once for all steps of the stage,
so that several models or parts stand side by side. Text is plain; the renderer escapes it.

The data card is made of the counts of every stage that makes documents or tokens, and of `StageReport.done`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.core.artifact import Artifact
from pipeline.core.files import JsonObject

Point = tuple[float, float]


@dataclass(frozen=True)
class ReportedStep:
    """A step of a run: its name (empty where the stage has one step), what it published and what that was made of.

    `metrics` is the folder of its live metrics: all there is of a step that is not finished. `section`: the section of
    the stage in the configuration of the run, with every scalar as a string; empty where it is a list.
    """

    name: str
    artifact: Artifact | None
    inputs: tuple[Artifact, ...]
    metrics: Path
    section: JsonObject = field(default_factory=dict)


@dataclass(frozen=True)
class Tile:
    """A large figure at the top of the page."""

    figure: str
    label: str
    remark: str = ""


@dataclass(frozen=True)
class FunnelColumn:
    """A column of the funnel: `value` sets its height, `figure` and `note` are written above it.

    `lost` is what fell out between the column before it and this one, as (reason, number), the largest first.
    """

    label: str
    figure: str
    note: str
    value: float
    lost: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Figures:
    """Single figures with their names."""

    items: tuple[tuple[str, str], ...]
    title: str = ""


@dataclass(frozen=True)
class Series:
    """One curve. `tone` is its colour, `a` to `h`; `dots` marks every point, for curves of few points."""

    name: str
    points: Sequence[Point]
    tone: str = "a"
    dots: bool = False


@dataclass(frozen=True)
class Chart:
    """Curves over one axis; narrow charts stand two in a row. A legend is drawn where there are several curves."""

    title: str
    series: tuple[Series, ...]
    x_label: str
    y_label: str
    narrow: bool = False


@dataclass(frozen=True)
class Column:
    """A column of a table; figures are aligned to the right, and sentences (`text`) have room to be read."""

    title: str
    figures: bool = False
    text: bool = False


@dataclass(frozen=True)
class TableCell:
    """A cell: a text in a style, or a share of 1 drawn as a bar, or parts that each have a small remark, or a text that
    leads to the chapter `link`."""

    text: str = ""
    style: Literal["", "strong", "note", "mono", "unit"] = ""
    share: float | None = None
    parts: tuple[tuple[str, str], ...] = ()
    link: str = ""


@dataclass(frozen=True)
class ReportTable:
    """A table; with `folded` it is closed under that line. `rest` says what is left out. `texts`: it quotes the corpus,
    so it is not in data-card.md."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[TableCell | str, ...], ...]
    title: str = ""
    folded: str = ""
    rest: str = ""
    texts: bool = False


@dataclass(frozen=True)
class SampleText:
    """A text that a model continued from a prompt, with what else is known of it."""

    prompt: str
    text: str
    note: str = ""


@dataclass(frozen=True)
class SampleTexts:
    """Texts of a model."""

    items: tuple[SampleText, ...]
    title: str = ""


@dataclass(frozen=True)
class Quote:
    """A text in an example, with what stands above it: an id after a word, for instance."""

    text: str
    label: str = ""
    code: str = ""
    mono: bool = False


@dataclass(frozen=True)
class Example:
    """A dropped document, as one text or as two side by side."""

    quotes: tuple[Quote, ...]
    note: str = ""


@dataclass(frozen=True)
class Reason:
    """A reason for dropping documents, their number, and examples."""

    name: str
    count: int
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True)
class DroppedDocuments:
    """All documents that one step dropped, the most frequent reason first; `read` is the number of its inputs."""

    title: str
    read: int
    reasons: tuple[Reason, ...]


ChapterBlock = Figures | Chart | ReportTable | SampleTexts | DroppedDocuments


@dataclass(frozen=True)
class Chapter:
    """A chapter of the page. Chapters of one id are one: blocks are appended in the order of the stages.

    `of_data`: it is also in data-card.md, with its figures and without the texts of examples.
    """

    id: str
    title: str
    blocks: tuple[ChapterBlock, ...]
    note: str = ""
    link: str = ""  # what the page's navigation says; the title where it is empty
    of_data: bool = False


@dataclass(frozen=True)
class Done:
    """One thing that a stage did to the documents, in the data card; `chapter`: the id of the chapter with details."""

    text: str
    chapter: str = ""


@dataclass(frozen=True)
class StageReport:
    """Everything that a stage shows."""

    tiles: tuple[Tile, ...] = ()
    gates: tuple[FunnelColumn, ...] = ()
    chapters: tuple[Chapter, ...] = field(default=())
    done: tuple[Done, ...] = ()
    licences: Mapping[str, str] = field(default_factory=dict)
    """Source → the licence that the configuration states, for documents that state none."""


Reporter = Callable[[Sequence[ReportedStep]], StageReport]
