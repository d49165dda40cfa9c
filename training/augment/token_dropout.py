"""Hide some of the inputs, never the targets (word dropout: Bowman et al. 2016, arXiv 1511.06349).

A token is hidden with probability `share`, by [MASK] where the tokenizer has one, else by the end of text. Special
tokens are never hidden. Cost: one random number a token, some 15 ns.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.augment import section
from training.augment.base import Augmentation, TokenRows
from training.keyed_rng import Keys, uniform


class TokenDropout(Augmentation):
    """See the module."""

    name = "token_dropout"
    options: section.TokenDropout

    def __init__(self, options: section.TokenDropout, tokenizer: Path) -> None:
        super().__init__(options, tokenizer)
        self.mask_id = self.specials.get("[MASK]", self.specials.get("<mask>", self.end_of_text))
        self.special_token_ids = np.array(sorted({*self.specials.values(), self.end_of_text}))

    def inputs(self, tokens: TokenRows, lengths: TokenRows, keys: Keys) -> TokenRows:
        # positions after a row's end hold padding, which nothing reads
        selected = uniform(keys, tokens.shape[1], self.name) < self.options.share
        return np.where(selected & ~np.isin(tokens, self.special_token_ids), self.mask_id, tokens)
