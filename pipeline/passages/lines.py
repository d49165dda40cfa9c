"""Lines that stood in the corpus before, wherever (CCNet calls them paragraphs; Wenzek et al. 2020)."""

from __future__ import annotations

from pipeline.passages.base import PassageFinder, PassageKeys, keys_of
from pipeline.passages.batch import DocumentBatch


class RepeatedLines(PassageFinder):
    """Every line that is long enough."""

    def keys(self, batch: DocumentBatch) -> PassageKeys:
        lines = batch.lines
        return keys_of(lines, self.is_long(lines.words, lines.characters))
