"""The options of the augmentations (pydantic only)."""

from __future__ import annotations

from pydantic import Field, PositiveFloat

from pipeline.core.config import Section

Share = Field(0.1, gt=0.0, lt=1.0)


class TokenDropout(Section):
    """Inputs, never targets, are hidden (Bowman et al. 2016, arXiv 1511.06349): by [MASK] where there is one, else by
    end of text."""

    share: float = Share


class SentenceShuffling(Section):
    """The sentences of a document's part of a row change places (Lewis et al. 2020, arXiv 1910.13461)."""

    share: float = Share  # of the documents


class SpanCorruption(Section):
    """Spans are cut out, marked, and told at the row's end (Raffel et al. 2020, arXiv 1910.10683; here in one row)."""

    share: float = Field(0.5, gt=0.0, le=1.0)  # of the rows
    corrupted: float = Field(0.15, gt=0.0, lt=1.0)  # of a row's tokens
    mean_span: PositiveFloat = 3.0


class FillInTheMiddle(Section):
    """A document's middle is told last (Bavarian et al. 2022, arXiv 2207.14255): prefix, suffix, middle."""

    share: float = Field(0.5, gt=0.0, le=1.0)  # of the documents
    suffix_first: float = Field(0.5, ge=0.0, le=1.0)  # of those: suffix, prefix, middle
