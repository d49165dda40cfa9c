"""A document's middle is told last, so that a model that reads forward learns to fill gaps (Bavarian et al. 2022,
arXiv 2207.14255).

Of document = prefix · middle · suffix, cut at two tokens drawn evenly, is made
    <|fim_prefix|> prefix <|fim_suffix|> suffix <|fim_middle|> middle        (PSM)
    <|fim_prefix|> <|fim_suffix|> suffix <|fim_middle|> prefix middle        (SPM, in the paper's second form)
Cuts are between tokens, where the paper cuts between characters: the encoder is not run again. The three marks take the
place of the row's last tokens where it is full. Cost: microseconds a document that is chosen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.augment import section
from training.augment.base import Augmentation, Part, Tokens, documents, laid
from training.keyed_rng import Keys, uniform

DRAWS = 4  # a document: whether, two cuts, which order
MARKS = 3
Draws = NDArray[np.float64]


class FillInTheMiddle(Augmentation):
    """See the module. What a row holds of a document counts as the document."""

    name = "fill_in_the_middle"
    options: section.FillInTheMiddle

    def rows(self, tokens: Tokens, lengths: Tokens, keys: Keys) -> tuple[Tokens, Tokens]:
        width = tokens.shape[1]
        marks = self.ids(length=width)
        # a document's draws stand at the place of its first token: its cut at the row's end changes none of them
        draws = uniform(keys, DRAWS * width, self.name).reshape(len(tokens), DRAWS, width)
        rows = [self._row(tokens[b, : lengths[b]], draws[b], marks, width) for b in range(len(tokens))]
        return laid(rows, tokens)

    def _row(self, row: Tokens, draws: Draws, marks: list[int], width: int) -> Tokens:
        def chosen(row: Tokens) -> list[Part]:
            return [part for part in documents(row, self.end_of_text) if draws[0, part[0]] < self.options.share]

        row = row[: max(0, width - MARKS * len(chosen(row)))]
        pieces, last = [], 0
        for start, stop in chosen(row):
            pieces += [row[last:start], self._told(row[start:stop], draws[1:, start], marks)]
            last = stop
        return np.concatenate([*pieces, row[last:]])

    def _told(self, text: Tokens, draws: Draws, marks: list[int]) -> Tokens:
        first, second = sorted(int(draw * (len(text) + 1)) for draw in draws[:2])
        prefix, middle, suffix = text[:first], text[first:second], text[second:]
        before, after, between = (np.array([mark], np.int64) for mark in marks)
        if draws[2] < self.options.suffix_first:
            return np.concatenate([before, after, suffix, between, prefix, middle])
        return np.concatenate([before, prefix, after, suffix, between, middle])
