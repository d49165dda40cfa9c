"""What `bloomery export-tokens` asks of the stage that packs, as plain values; the table of the stage names a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.core.artifact import Artifact


@dataclass(frozen=True)
class ExportedSplit:
    """What a split became: its rows, tokens and whole documents, and the parts of documents that are `sequences` of
    their own (None where the format does not tell documents apart)."""

    split: str
    rows: int
    tokens: int
    documents: int
    sequences: int | None


@dataclass(frozen=True)
class ExportedTokens:
    """The folder, the files in it with their sizes in bytes, what each split became, and how the format is opened."""

    folder: Path
    files: dict[str, int]
    splits: tuple[ExportedSplit, ...]
    usage: str


class TokenExporter(Protocol):
    """Packed tokens in the formats of other programs."""

    def formats(self) -> Sequence[str]:
        """The names of the formats."""

    def export(self, tokens: Artifact, tokenizer: Artifact, format_name: str, folder: Path) -> ExportedTokens:
        """Write the tokens into a new folder, which appears when it is complete.

        Raises: UserError when there is no such format, it cannot hold these tokens, or the folder is there already.
        """
