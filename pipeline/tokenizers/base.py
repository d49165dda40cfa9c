"""What a tokenizer of ours is: a kind that can be trained, and an encoder from a text column to one flat array of ids.

The artifact is always one Hugging Face `tokenizer.json`, so whatever reads those reads ours.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.tokenizers.special_tokens import END_OF_TEXT as END_OF_TEXT


@dataclass(frozen=True)
class Encoded:
    """The ids of a column's documents, end to end: document i is ids[offsets[i]:offsets[i + 1]]."""

    ids: NDArray[np.uint32]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def document(self, index: int) -> NDArray[np.uint32]:
        return self.ids[self.offsets[index] : self.offsets[index + 1]]


class Encoder(ABC):
    """Encodes columns. Two encoders of one tokenizer.json give the same ids, always; they differ in speed alone."""

    @abstractmethod
    def encode(self, column: pa.LargeStringArray) -> Encoded:
        """The ids of a column of texts (no nulls), without any token that a template would add."""


@dataclass(frozen=True)
class TokenizerOptions:
    """What a kind may be told beside its size; None is the kind's own default. `specials` follow its own special ones;
    `path` is of the file that the kind `file` takes."""

    specials: tuple[str, ...] = ()
    min_count: int | None = None
    lowercase: bool | None = None
    path: str | None = None


class TokenizerTrainer(ABC):
    """A kind of tokenizer that can be trained: the class a name in YAML stands for."""

    def __init__(self, options: TokenizerOptions | None = None) -> None:
        self.options = options or TokenizerOptions()

    @abstractmethod
    def train(self, texts: Iterable[str], vocabulary: int) -> str:
        """Learn at most `vocabulary` pieces from `texts`; the content of tokenizer.json, end of text being id 0.

        The same texts in the same order give the same bytes, in any process (tried: tests/pipeline/tokenizers).
        """
