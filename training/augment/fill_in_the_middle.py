"""Move a document's middle to its end, so that a model that reads forward learns to fill gaps (Bavarian et al. 2022,
arXiv 2207.14255).

A document = prefix · middle · suffix, cut at two tokens drawn uniformly, becomes
    <|fim_prefix|> prefix <|fim_suffix|> suffix <|fim_middle|> middle        (PSM)
    <|fim_prefix|> <|fim_suffix|> suffix <|fim_middle|> prefix middle        (SPM, in the paper's second form)
Cuts are between tokens, where the paper cuts between characters: the encoder is not run again. The three sentinel
tokens replace the row's last tokens where it is full. Cost: microseconds a selected document.
"""

from __future__ import annotations

import numpy as np

from training.augment import section
from training.augment.base import Augmentation, DocumentRange, TokenRows, Uniforms, documents, pad_rows
from training.keyed_rng import Keys, uniform

DRAWS = 4  # a document: whether to change it, two cuts, the order
SENTINELS = 3


class FillInTheMiddle(Augmentation):
    """See the module. The part of a document that lies in the row counts as the document."""

    name = "fill_in_the_middle"
    options: section.FillInTheMiddle

    def rows(self, tokens: TokenRows, lengths: TokenRows, keys: Keys) -> tuple[TokenRows, TokenRows]:
        width = tokens.shape[1]
        sentinels = self.special_ids(length=width)
        # a document's draws are at the index of its first token: where the row cuts it off changes none of them
        draws = uniform(keys, DRAWS * width, self.name).reshape(len(tokens), DRAWS, width)
        rows = [self._change_row(tokens[b, : lengths[b]], draws[b], sentinels, width) for b in range(len(tokens))]
        return pad_rows(rows, tokens)

    def _change_row(self, row: TokenRows, draws: Uniforms, sentinels: list[int], width: int) -> TokenRows:
        row = row[: max(0, width - SENTINELS * len(self._select(row, draws)))]
        segments = []
        last = 0
        for start, stop in self._select(row, draws):
            segments += [row[last:start], self._reorder(row[start:stop], draws[1:, start], sentinels)]
            last = stop
        return np.concatenate([*segments, row[last:]])

    def _select(self, row: TokenRows, draws: Uniforms) -> list[DocumentRange]:
        ranges = documents(row, self.end_of_text)
        return [(start, stop) for start, stop in ranges if draws[0, start] < self.options.share]

    def _reorder(self, text: TokenRows, draws: Uniforms, sentinels: list[int]) -> TokenRows:
        first, second = sorted(int(draw * (len(text) + 1)) for draw in draws[:2])
        prefix, middle, suffix = text[:first], text[first:second], text[second:]
        fim_prefix, fim_suffix, fim_middle = (np.array([sentinel], np.int64) for sentinel in sentinels)
        if draws[2] < self.options.suffix_first:
            return np.concatenate([fim_prefix, fim_suffix, suffix, fim_middle, prefix, middle])
        return np.concatenate([fim_prefix, prefix, fim_suffix, suffix, fim_middle, middle])
