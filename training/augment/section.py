"""The options of the augmentations (pydantic only)."""

from __future__ import annotations

from pydantic import Field, PositiveFloat

from pipeline.core.config import Section


class TokenDropout(Section):
    """Hide inputs, never targets (Bowman et al. 2016, arXiv 1511.06349): with [MASK] where the tokenizer has one, else
    with the end of text."""

    share: float = Field(0.1, gt=0.0, lt=1.0)  # of the tokens


class SentenceShuffling(Section):
    """Shuffle the sentences of the part of a document that lies in a row (Lewis et al. 2020, arXiv 1910.13461)."""

    share: float = Field(0.1, gt=0.0, lt=1.0)  # of the documents


class SpanCorruption(Section):
    """Move spans to the row's end, behind sentinel tokens (Raffel et al. 2020, arXiv 1910.10683; here in one row)."""

    share: float = Field(0.5, gt=0.0, le=1.0)  # of the rows
    corrupted: float = Field(0.15, gt=0.0, lt=1.0)  # of a row's tokens
    mean_span: PositiveFloat = 3.0


class FillInTheMiddle(Section):
    """Move a document's middle to its end (Bavarian et al. 2022, arXiv 2207.14255): prefix, suffix, middle."""

    share: float = Field(0.5, gt=0.0, le=1.0)  # of the documents
    suffix_first: float = Field(0.5, ge=0.0, le=1.0)  # of those: suffix, prefix, middle
