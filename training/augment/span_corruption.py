"""Spans of a row are cut out, marked, and told at its end (Raffel et al. 2020, arXiv 1910.10683), in one row for a
model that reads forward:

    thank you <|span_0|> me to your party <|span_1|> week <|span_0|> for inviting <|span_1|> last

As in T5, a share `corrupted` of the tokens falls into spans of `mean_span` tokens on average, their lengths and the
text between them random partitions; a row begins with text. Two marks a span take the place of the row's last tokens
where it is full (a tenth of a row, with the defaults). Cost: 60 us a row that is chosen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.augment import section
from training.augment.base import Augmentation, Tokens, laid
from training.augment.specials import spans
from training.keyed_rng import Keys, uniform

Draws = NDArray[np.float64]


class SpanCorruption(Augmentation):
    """See the module. A span may reach over the end of a document."""

    name = "span_corruption"
    options: section.SpanCorruption

    def rows(self, tokens: Tokens, lengths: Tokens, keys: Keys) -> tuple[Tokens, Tokens]:
        width = tokens.shape[1]
        marks = np.array(self.ids(length=width), np.int64)
        chosen = uniform(keys, 1, self.name)[:, 0] < self.options.share
        rows = [tokens[b, : lengths[b]] for b in range(len(tokens))]
        for b in np.flatnonzero(chosen):
            # drawn for the chosen rows alone; a row's draws depend on its own key
            rows[b] = self._row(rows[b], uniform(keys[b : b + 1], 2 * width, "spans")[0], marks, width)
        return laid(rows, tokens)

    def _row(self, row: Tokens, draws: Draws, marks: Tokens, width: int) -> Tokens:
        wanted = {"corrupted": self.options.corrupted, "mean_span": self.options.mean_span}
        count = spans(len(row), **wanted)
        room = row[: width - 2 * count]
        noise = round(len(room) * self.options.corrupted)
        if not count <= noise <= len(room) - count:
            return row  # too short to be cut
        cut, kept = partition(noise, count, draws[:width]), partition(len(room) - noise, count, draws[width:])
        starts = np.cumsum(kept + cut) - cut
        text: list[Tokens] = []
        told: list[Tokens] = []
        last = 0
        for at, (start, size) in enumerate(zip(starts, cut, strict=True)):
            text += [room[last:start], marks[at : at + 1]]
            told += [marks[at : at + 1], room[start : start + size]]
            last = start + size
        return np.concatenate([*text, room[last:], *told])


def partition(total: int, count: int, draws: Draws) -> NDArray[np.int64]:
    """`total` as `count` numbers from 1 on, every way equally likely: the places of count - 1 borders by rank."""
    borders = np.sort(np.argsort(draws[: total - 1], kind="stable")[: count - 1]) + 1
    return np.diff(np.concatenate([[0], borders, [total]])).astype(np.int64)
