"""What a stage will need, told before it runs: a stage's table names a function (StepFacts) -> Estimate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pipeline.core.artifact import Artifact
from pipeline.core.config import Section
from pipeline.core.files import JsonObject
from pipeline.core.job import ClusterOptions
from pipeline.core.stage import ArtifactKind

Measure = Callable[[str, JsonObject], JsonObject | None]
"""Runs the module of that name with a question as JSON, once for each question and machine; None where it must not."""


@dataclass(frozen=True)
class StepFacts:
    """What is known of a step before it runs.

    `artifacts`: what it reads, by kind, as far as it is published; `sections`: of the stages that make it. `hardware`
    names the GPU of a worker, None for this machine. `price`: euros that an hour of everything costs.
    """

    section: Section
    sections: Mapping[ArtifactKind, Section]
    artifacts: Mapping[ArtifactKind, Artifact]
    cluster: ClusterOptions
    measure: Measure
    memory_bytes: int  # of this machine
    hardware: str | None = None
    price: float | None = None


@dataclass(frozen=True)
class Estimate:
    """`lines`: figures, each with its name. `warnings`: what a person should know before hours are spent.

    `problem`: why it cannot run as it is, and the nearest that can.
    """

    lines: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    problem: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
