"""Move spans of a row to its end (Raffel et al. 2020, arXiv 1910.10683), in one row for a model that reads forward:

    thank you <|span_0|> me to your party <|span_1|> week <|span_0|> for inviting <|span_1|> last

As in T5, a share `corrupted` of the tokens falls into spans of `mean_span` tokens on average; the lengths of the spans
and of the text between them are random partitions, and a row begins with text. Two sentinel tokens a span replace the
row's last tokens where it is full (a tenth of a row, with the defaults). Cost: 60 us a selected row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.augment import section
from training.augment.base import Augmentation, TokenRows, Uniforms, pad_rows
from training.augment.specials import span_count
from training.keyed_rng import Keys, uniform


class SpanCorruption(Augmentation):
    """See the module. A span may cross the end of a document."""

    name = "span_corruption"
    options: section.SpanCorruption

    def rows(self, tokens: TokenRows, lengths: TokenRows, keys: Keys) -> tuple[TokenRows, TokenRows]:
        width = tokens.shape[1]
        sentinels = np.array(self.special_ids(length=width), np.int64)
        selected = uniform(keys, 1, self.name)[:, 0] < self.options.share
        rows = [tokens[b, : lengths[b]] for b in range(len(tokens))]
        for b in np.flatnonzero(selected):
            # drawn for the selected rows alone; a row's draws depend on its own key
            rows[b] = self._corrupt(rows[b], uniform(keys[b : b + 1], 2 * width, "spans")[0], sentinels, width)
        return pad_rows(rows, tokens)

    def _corrupt(self, row: TokenRows, draws: Uniforms, sentinels: TokenRows, width: int) -> TokenRows:
        count = span_count(len(row), corrupted=self.options.corrupted, mean_span=self.options.mean_span)
        source = row[: width - 2 * count]
        noise = round(len(source) * self.options.corrupted)
        if not count <= noise <= len(source) - count:
            return row  # too short to be corrupted
        span_lengths = partition(noise, count, draws[:width])
        text_lengths = partition(len(source) - noise, count, draws[width:])
        starts = np.cumsum(text_lengths + span_lengths) - span_lengths
        text: list[TokenRows] = []
        spans: list[TokenRows] = []
        last = 0
        for index, (start, length) in enumerate(zip(starts, span_lengths, strict=True)):
            sentinel = sentinels[index : index + 1]
            text += [source[last:start], sentinel]
            spans += [sentinel, source[start : start + length]]
            last = start + length
        return np.concatenate([*text, source[last:], *spans])


def partition(total: int, count: int, draws: Uniforms) -> NDArray[np.int64]:
    """`total` as a sum of `count` numbers from 1 on, every way equally likely: the ranks of draws give the borders."""
    borders = np.sort(np.argsort(draws[: total - 1], kind="stable")[: count - 1]) + 1
    return np.diff(np.concatenate([[0], borders, [total]])).astype(np.int64)
