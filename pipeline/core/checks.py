"""Input and output of a check between sections. Stage tables name the checks; `cluster` calls them.

A check gets one configured stage and the stages that it reads, and yields every mismatch and every remark. It runs
before any work, so it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from pipeline.core.config import Section
from pipeline.core.stage import ArtifactKind
from pipeline.core.yaml_tree import PathOf

S = TypeVar("S", bound=Section)


@dataclass(frozen=True)
class ConfiguredStage:
    """A stage of a configuration: its section, where that stands in the YAML, and what it reads, by kind.

    A kind that no stage makes, or whose section is itself wrong, is absent from `reads`.
    """

    stage: str
    path: PathOf
    section: Section
    workers: int = 1  # cluster.workers
    reads: Mapping[ArtifactKind, ConfiguredStage] = field(default_factory=dict)

    def section_of(self, kind: ArtifactKind, section_type: type[S]) -> S | None:
        """The section of the stage that makes this kind, where it is of this type."""
        stage = self.reads.get(kind)
        return stage.section if stage is not None and isinstance(stage.section, section_type) else None

    def path_of(self, kind: ArtifactKind, *options: str | int) -> PathOf:
        """Where an option of the stage that makes this kind stands."""
        return (*self.reads[kind].path, *options)


@dataclass(frozen=True)
class Mismatch:
    """Options that contradict each other: the path to point at, the problem, and what to do."""

    path: PathOf
    what: str
    hint: str = ""


@dataclass(frozen=True)
class Remark:
    """What works and costs something: the path to point at, and what it costs. `check` shows it and refuses nothing."""

    path: PathOf
    what: str


SectionCheck = Callable[[ConfiguredStage], Iterator[Mismatch | Remark]]
