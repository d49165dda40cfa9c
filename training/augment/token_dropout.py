"""Hide some of what is read, never what is predicted (word dropout: Bowman et al. 2016, arXiv 1511.06349).

A token is hidden with probability `share`, by [MASK] where the tokenizer has one, else by the end of text. Special
tokens stay. Cost: a draw a token, some 15 ns.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.augment import section
from training.augment.base import Augmentation, Tokens
from training.keyed_rng import Keys, uniform


class TokenDropout(Augmentation):
    """See the module."""

    name = "token_dropout"
    options: section.TokenDropout

    def __init__(self, options: section.TokenDropout, tokenizer: Path) -> None:
        super().__init__(options, tokenizer)
        self.hidden = self.specials.get("[MASK]", self.specials.get("<mask>", self.end_of_text))
        self.kept = np.array(sorted({*self.specials.values(), self.end_of_text}))

    def inputs(self, tokens: Tokens, lengths: Tokens, keys: Keys) -> Tokens:
        # places behind a row's end hold padding, which nobody looks at
        chosen = uniform(keys, tokens.shape[1], self.name) < self.options.share
        return np.where(chosen & ~np.isin(tokens, self.kept), self.hidden, tokens)
