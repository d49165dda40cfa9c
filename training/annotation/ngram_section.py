"""The options of the annotation model `ngram`. Pydantic only."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from training.annotation.options import LanguageTag, ScorerOptions
from training.annotation.text_sets import TextSet


class NgramOptions(ScorerOptions):
    """How surprising a text is to a language model of n-grams of characters that was trained on `text`: the mean bits
    of a code point (or, with `unit: byte`, of a byte).

    There is a model for each language of the texts, or of `languages` alone; a document of another language has no
    score. `table_bits`: the counts of a language lie in 2 ** table_bits cells of 2 bytes. `held_back`: the share of
    texts that is not counted, but scored for the report.
    """

    TASK_BYTES: ClassVar[int] = 64 << 20
    UNICODE: ClassVar[bool] = True
    TEXTS: ClassVar[tuple[str, ...]] = ("text",)

    text: TextSet
    languages: list[LanguageTag] | None = Field(None, min_length=1)
    ngrams: int = Field(5, ge=2, le=8)
    table_bits: int = Field(24, ge=16, le=28)
    unit: Literal["character", "byte"] = "character"
    held_back: float = Field(0.05, gt=0, le=0.5)
