"""The base class of export formats: write files from a saved model, load them as their consumer does, and compare."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.config import Section
from pipeline.core.errors import StageFailed
from pipeline.core.files import read_json
from pipeline.core.inputs import Inputs
from pipeline.tokenizers import tokenizer_json
from training.evaluation.held_out import HeldOut
from training.export.card import Card


@dataclass(frozen=True)
class ExportSource:
    """What is exported: a saved model's folder, its tokenizer.json, held-out rows to compare on, and the card."""

    model: Path
    tokenizer: Path
    held_out: HeldOut
    card: Card

    @classmethod
    def of(cls, inputs: Inputs) -> ExportSource:
        """From a job's inputs."""
        tokenizer = inputs.single("tokenizer").file("tokenizer.json")
        return cls(inputs.single("model").folder("model"), tokenizer, HeldOut.of(inputs), Card.of(inputs))

    @property
    def end_of_text(self) -> str:
        """The piece that follows each document.

        Raises: StageFailed when the tokenizer has none.
        """
        piece = tokenizer_json.end_of_text_token(read_json(self.tokenizer))
        if piece is None:
            raise StageFailed("export: no piece of tokenizer.json ends a text.")
        return piece


class Format(ABC):
    """A format writes the same bytes for the same source, in any folder: no time, no path, no host name."""

    name: str

    def __init__(self, options: Section) -> None:
        self.options = options

    @abstractmethod
    def write(self, source: ExportSource, folder: Path) -> list[str]:
        """Write the files into `folder`, each completely or not at all; returns their names."""

    @abstractmethod
    def check(self, source: ExportSource, folder: Path) -> None:
        """Load `folder` as its consumer does and compare.

        Raises: StageFailed when it does not load or does not compute what the saved model computes.
        """
