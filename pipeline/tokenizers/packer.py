"""The encoder that the stage `pack` uses: the fast or the reference encoder, one per thread, and its token type."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.tokenizers import verification_sample
from pipeline.tokenizers.base import Encoded, Encoder
from pipeline.tokenizers.packed_rows import occurrences, with_end_of_text
from pipeline.tokenizers.reference_encoder import load
from pipeline.tokenizers.verified_encoder import EncodersDiffer, VerifiedEncoder

# which encoder encodes every file
FAST = "fast"
REFERENCE = "reference"


@dataclass(frozen=True)
class Packer:
    """A fast or reference encoder, and the facts about its tokenizer that packing needs."""

    encoder: Encoder
    end_of_text: int
    vocabulary: int
    unknown: int | None = None
    sentence: int | None = None

    def encode(self, batch: pa.Table, verify: int) -> Encoded:
        """Encode a batch; documents whose id hash is at most `verify` are also compared with the reference.

        Raises: EncodersDiffer when the ids differ, or when this process has no fast encoder.
        """
        column = batch["text"].combine_chunks()
        if not isinstance(self.encoder, VerifiedEncoder):
            encoded = self.encoder.encode(column)
        elif self.encoder.fallback is not None:
            raise EncodersDiffer(self.encoder.fallback)
        else:
            selected = verification_sample.selected(batch["id"].combine_chunks(), verify)
            encoded = self.encoder.encode(column, selected)
        return with_end_of_text(encoded, self.end_of_text, self.dtype)

    def count_markers(self, encoded: Encoded) -> dict[str, NDArray[np.int64]]:
        """The number of unknown tokens and of sentences in each document, where the tokenizer has such tokens."""
        markers = {"unknown": self.unknown, "sentences": self.sentence}
        return {name: occurrences(encoded, token) for name, token in markers.items() if token is not None}

    @property
    def fallback(self) -> str | None:
        """The reason why this process has no fast encoder; None where it has one, or where it is not to use one."""
        return self.encoder.fallback if isinstance(self.encoder, VerifiedEncoder) else None

    @property
    def encoder_name(self) -> str:
        return self.encoder.name if isinstance(self.encoder, VerifiedEncoder) else "tokenizers"

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        """uint16 where every id fits, otherwise uint32."""
        return np.dtype(np.uint16 if self.vocabulary <= 1 << 16 else np.uint32)


@lru_cache(maxsize=64)
def load_packer(path: Path, encoder_choice: str, thread: int) -> Packer:
    """The packer of a thread, reused from file to file: its word cache makes the second file faster than the first."""
    verified = VerifiedEncoder(path.read_text(encoding="utf-8")) if encoder_choice == FAST else None
    reference = load(path) if verified is None else verified.reference
    encoder = reference if verified is None else verified
    return Packer(encoder, reference.end_of_text, reference.vocabulary, reference.unknown, reference.sentence)
