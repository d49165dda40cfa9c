"""What a stage that reads files from outside the store says of them; its table names a class of these functions."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.core.artifact import Artifact
from pipeline.core.files import RawFile
from pipeline.core.yaml_tree import PathOf


@dataclass(frozen=True)
class RawSource:
    """The raw files of one source of a section; `option` is where the source stands in it.

    `problem` says why its files cannot be listed.
    """

    name: str
    reader: str
    option: PathOf
    files: tuple[RawFile, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class RawPosition:
    """Where a document stood: its source, the file's name within it, and the position, as the document's id has it."""

    source: str
    file: str
    position: int


class RawFiles(Protocol):
    """The raw files behind the sections of one stage. A file is named by (source, name within it)."""

    def sources(self, section: Any) -> Iterator[RawSource]:
        """Every source with its files."""

    def problem(self, section: Any, source: RawSource) -> str | None:
        """Why a listed source cannot be read as the section asks; None if it can, as far as its first records say."""

    def part(self, section: Any, sources: Collection[str]) -> Any:
        """The section as it reads one part, with only the sources that have files in it."""

    def recorded(self, artifact: Artifact) -> dict[tuple[str, str], str]:
        """(source, name) → sha256 of every raw file that an artifact was made of; empty where it does not say."""

    def locate(self, artifact: Artifact, document: str) -> RawPosition | None:
        """Where a document of an artifact stood; None where the artifact does not have it."""
