"""What packs documents: an encoder of the fast path or of the reference, one a thread, and the type of its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.tokenizers import verification_sample
from pipeline.tokenizers.base import Encoded, Encoder
from pipeline.tokenizers.packed_rows import occurrences, with_end_of_text
from pipeline.tokenizers.reference_encoder import load
from pipeline.tokenizers.verified_encoder import EncodersDiffer, VerifiedEncoder, encoder

FAST, REFERENCE = "fast", "reference"  # the path that every file is encoded by


@dataclass(frozen=True)
class Packer:
    """An encoder of one path, and what packing asks of its tokenizer."""

    encoder: Encoder
    end_of_text: int
    vocabulary: int
    unknown: int | None = None
    sentence: int | None = None

    def encode(self, batch: pa.Table, verify: int) -> Encoded:
        """The ids of a batch; those of documents numbered up to `verify` are compared with the reference's.

        Raises: EncodersDiffer when they differ, or when this process has no fast path.
        """
        column = batch["text"].combine_chunks()
        if not isinstance(self.encoder, VerifiedEncoder):
            encoded = self.encoder.encode(column)
        elif self.encoder.fallback is not None:
            raise EncodersDiffer(self.encoder.fallback)
        else:
            chosen = verification_sample.selected(batch["id"].combine_chunks(), verify)
            encoded = self.encoder.encode(column, chosen)
        return with_end_of_text(encoded, self.end_of_text, self.dtype)

    def counted(self, encoded: Encoded) -> dict[str, NDArray[np.int64]]:
        """By name, how many of a document's tokens say more than text: nothing for a tokenizer without such tokens."""
        named = {"unknown": self.unknown, "sentences": self.sentence}
        return {name: occurrences(encoded, token) for name, token in named.items() if token is not None}

    @property
    def fallback(self) -> str | None:
        """Why this process has no fast path; None where it has one, or where none was asked for."""
        return self.encoder.fallback if isinstance(self.encoder, VerifiedEncoder) else None

    @property
    def encoder_name(self) -> str:
        return self.encoder.name if isinstance(self.encoder, VerifiedEncoder) else "tokenizers"

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint16 if self.vocabulary <= 1 << 16 else np.uint32)


@lru_cache(maxsize=64)
def load_packer(path: Path, path_name: str, thread: int) -> Packer:
    """One encoder a thread, kept from file to file: its word cache makes the second file faster than the first."""
    verified = encoder(path.read_text(encoding="utf-8")) if path_name == FAST else None
    reference = load(path) if verified is None else verified.reference
    chosen = reference if verified is None else verified
    return Packer(chosen, reference.end_of_text, reference.vocabulary, reference.unknown, reference.sentence)
