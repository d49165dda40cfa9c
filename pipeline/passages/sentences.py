"""Spans of consecutive sentences that stood in the corpus before: "we discarded all but one of any three-sentence span
occurring more than once in the data set" (C4, Raffel et al. 2020, section 2.2)."""

from __future__ import annotations

from typing import cast

import numpy as np

from pipeline.core.arrays import Array
from pipeline.kernels.code_points import ORDER
from pipeline.passages.base import PassageFinder, PassageKeys, mix
from pipeline.passages.batch import DocumentBatch, Hashes
from pipeline.passages.section import Sentences


class RepeatedSentences(PassageFinder):
    """Every span of sentences that is long enough; a sentence without a unit, such as a rule of dashes, is none."""

    def keys(self, batch: DocumentBatch) -> PassageKeys:
        span = cast(Sentences, self.options).span
        pieces = batch.sentences
        has_units = np.flatnonzero(pieces.words + pieces.characters)
        document = pieces.document[has_units].astype(np.int64)
        number = max(0, len(document) - span + 1)

        def windows(values: Array) -> list[Array]:
            return [values[has_units][k : k + number] for k in range(span)]

        def combined(hashes: Hashes) -> Hashes:
            with np.errstate(over="ignore"):
                parts = [mix(part + np.uint64(k) * ORDER) for k, part in enumerate(windows(hashes))]
                return mix(np.sum(parts, axis=0, dtype=np.uint64))

        words, characters = (np.sum(windows(units), axis=0) for units in (pieces.words, pieces.characters))
        rows = (document[:number] == document[span - 1 :][:number]) & self.is_long(words, characters)
        return PassageKeys(
            combined(pieces.hash)[rows], combined(pieces.check)[rows], document[:number][rows],
            windows(pieces.start)[0][rows], windows(pieces.end)[-1][rows],
        )  # fmt: skip
