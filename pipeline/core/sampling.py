"""The interface for sampling text from the models of a stage; its table entry names a class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.core.artifact import Artifact


@dataclass(frozen=True)
class SamplingOptions:
    """Options of sampling: at most `tokens`, from the `top_k` likeliest (None: from all), by a seed."""

    tokens: int
    temperature: float
    top_k: int | None
    seed: int


class Sampler(Protocol):
    """Text from the models of one stage."""

    def refusal(self, artifact: Artifact) -> str | None:
        """Why this model writes no text, in one sentence; None if it does. Imports nothing heavy."""

    def write(self, artifact: Artifact, prompts: Sequence[str], options: SamplingOptions) -> Iterator[Iterator[str]]:
        """For each prompt, what the model continues it with, piece by piece."""
