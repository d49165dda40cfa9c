"""The artifacts that a stage reads, and their files: as paths of this machine, or as names for any machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from pipeline.core.artifact import Artifact
from pipeline.core.errors import StageFailed


class InputFile(TypedDict):
    """A file of the inputs as a task names it: on another machine it has another local path.

    `part`: which artifact of the kind; `name`: its path in it.
    """

    kind: str
    part: int
    name: str
    bytes: int


@dataclass(frozen=True)
class Inputs:
    """The artifacts that a stage reads, by kind; a kind may come in several parts, whose order counts.

    An artifact of another run stands under what it is for ("init"), not under its kind.
    """

    by_kind: Mapping[str, tuple[Artifact, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, artifacts: Mapping[str, Artifact | Sequence[Artifact]]) -> Inputs:
        """From one artifact or several of each kind; a kind with none is left out."""
        parts = {kind: (value,) if isinstance(value, Artifact) else tuple(value) for kind, value in artifacts.items()}
        return cls({kind: value for kind, value in parts.items() if value})

    def __contains__(self, kind: str) -> bool:
        return kind in self.by_kind

    def single(self, kind: str) -> Artifact:
        """The only artifact of a kind.

        Raises: StageFailed when there is none, or more than one.
        """
        parts = self.all(kind)
        if len(parts) != 1:
            raise StageFailed(f"{len(parts)} artifacts of the kind {kind} were given where one is read.")
        return parts[0]

    def all(self, kind: str) -> tuple[Artifact, ...]:
        """The artifacts of a kind, in the order of their parts."""
        return self.by_kind.get(kind, ())

    def files(self, kind: str, prefix: str = "") -> list[Path]:
        """The files of all parts whose path begins so: in the order of the parts, within each by the bytes of paths."""
        return [path for artifact in self.all(kind) for path in artifact.files(prefix)]

    def listed(self, kind: str, prefix: str = "") -> list[InputFile]:
        """The same files in the same order, without reading or downloading any."""
        return [
            InputFile(kind=kind, part=part, name=entry.path, bytes=entry.bytes)
            for part, artifact in enumerate(self.all(kind))
            for entry in artifact.entries(prefix)
        ]

    def local(self, file: InputFile) -> Path:
        """The path of a listed file on this machine, downloaded if need be."""
        return self.all(file["kind"])[file["part"]].file(file["name"])

    def every(self) -> list[Artifact]:
        """All artifacts, kind by kind."""
        return [artifact for parts in self.by_kind.values() for artifact in parts]
