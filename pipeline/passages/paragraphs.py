"""Paragraphs that stood in the corpus before: runs of lines without a blank line between them."""

from __future__ import annotations

import numpy as np

from pipeline.kernels.code_points import ORDER
from pipeline.passages.base import PassageFinder, PassageKeys, mix
from pipeline.passages.batch import DocumentBatch, Hashes


class RepeatedParagraphs(PassageFinder):
    """Every paragraph that is long enough, by the hashes of its lines in their order."""

    def keys(self, batch: DocumentBatch) -> PassageKeys:
        lines = batch.lines
        first = np.flatnonzero(lines.opens)
        if not len(first):
            return PassageKeys(lines.hash, lines.check, lines.document.astype(np.int64), lines.start, lines.end)
        last = np.append(first[1:], len(lines.hash)) - 1
        place = np.arange(len(lines.hash)) - np.repeat(first, last - first + 1)
        long = self.is_long(*(np.add.reduceat(units, first) for units in (lines.words, lines.characters)))

        def combined(hashes: Hashes) -> Hashes:
            with np.errstate(over="ignore"):
                return mix(np.add.reduceat(mix(hashes + place.astype(np.uint64) * ORDER), first))

        return PassageKeys(
            combined(lines.hash)[long], combined(lines.check)[long], lines.document[first][long].astype(np.int64),
            lines.start[first][long], lines.end[last][long],
        )  # fmt: skip
