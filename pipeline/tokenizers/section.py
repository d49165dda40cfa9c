"""The YAML sections `tokenizer:` and `pack:`; pydantic only, so that `check` and `plan` stay light."""

from __future__ import annotations

from pydantic import Field, field_validator

from pipeline.core.config import Section
from pipeline.core.errors import UserError
from pipeline.tokenizers import TOKENIZERS

# 256 bytes and the end of text: fewer pieces cannot spell every document
SMALLEST_VOCABULARY = 257


class Tokenizer(Section):
    """`kind`: a name of the registry or "module:Class"; `sample_bytes` bounds the text that training sees (README)."""

    kind: str = "bpe"
    vocabulary: int = Field(32_000, ge=SMALLEST_VOCABULARY)
    sample_bytes: int = Field(16_000_000, ge=1)

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        try:
            TOKENIZERS.target(kind)
        except UserError as error:
            raise ValueError(str(error)) from error
        return kind


class Pack(Section):
    """Rows of `length` tokens; about `validation` of each language's documents, at least one, is held out."""

    length: int = Field(1024, ge=2)
    validation: float = Field(0.005, gt=0, lt=1)
