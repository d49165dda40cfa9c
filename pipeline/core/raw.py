"""The interface through which a stage describes raw files outside the store; its table entry names a class."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

from pipeline.core.artifact import Artifact
from pipeline.core.config import Section
from pipeline.core.files import RawFile
from pipeline.core.yaml_tree import PathOf


@dataclass(frozen=True)
class RawSource:
    """The raw files of one source of a section; `option` is where the source stands in it.

    `problem` says why its files cannot be listed, `remark` what its files were taken for if nobody said what they are.
    """

    name: str
    reader: str
    option: PathOf
    files: tuple[RawFile, ...] = ()
    problem: str = ""
    remark: str = ""


@dataclass(frozen=True)
class RawPosition:
    """The origin of a document: its source, the file name within it, and the position that is part of its id."""

    source: str
    file: str
    position: int


class RawFiles(Protocol):
    """The raw files behind the sections of one stage. A file is named by (source, name within it)."""

    def sources(self, section: Section) -> Iterator[RawSource]:
        """Every source with its files."""

    def problem(self, section: Section, source: RawSource) -> str | None:
        """Why a listed source cannot be read as the section asks; None if it can, as far as its first records say."""

    def part(self, section: Section, sources: Collection[str]) -> Section:
        """The section as it reads one part, with only the sources that have files in it."""

    def recorded(self, artifact: Artifact) -> dict[tuple[str, str], str]:
        """(source, name) → sha256 of every raw file that an artifact was made of; empty where it does not say."""

    def locate(self, artifact: Artifact, document: str) -> RawPosition | None:
        """The origin of a document; None if the artifact does not contain it."""
