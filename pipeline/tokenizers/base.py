"""The base classes of the folder: `TokenizerTrainer` learns a tokenizer, `Encoder` turns a column of text into ids.

The artifact is always one Hugging Face `tokenizer.json`, so every program that reads that format reads ours.
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
    """Encodes columns. Two encoders of the same tokenizer.json always give the same ids; only their speed differs."""

    @abstractmethod
    def encode(self, column: pa.LargeStringArray) -> Encoded:
        """Return the ids of a column of texts (without nulls); no tokens of a template are added."""


@dataclass(frozen=True)
class TokenizerOptions:
    """The options of a tokenizer beside its vocabulary size; None stands for the default of its kind.

    `specials` follow the special tokens that the kind has itself; `path` is the file that the kind `file` reads.
    """

    specials: tuple[str, ...] = ()
    min_count: int | None = None
    lowercase: bool | None = None
    path: str | None = None


class TokenizerTrainer(ABC):
    """Trains tokenizers of one kind: the class that `tokenizer.kind` in the YAML names."""

    def __init__(self, options: TokenizerOptions | None = None) -> None:
        self.options = options or TokenizerOptions()

    @abstractmethod
    def train(self, texts: Iterable[str], vocabulary: int) -> str:
        """Learn at most `vocabulary` tokens from `texts` and return the content of tokenizer.json.

        End of text has id 0. The same texts in the same order must give the same bytes in every process (each kind has
        a test of this in tests/pipeline/tokenizers).
        """
