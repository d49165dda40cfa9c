"""The sentences of a document change places (Lewis et al. 2020, arXiv 1910.13461): what a row holds of it, in place.

A sentence is what `pipeline.text.words` says it is, in any language; it ends with the token that holds its last byte,
and the white space behind it begins the next one. A tokenizer that does not keep white space is read as it spells
(3. 5), one of words says itself where sentences end, by </s>. Cost: 0.6 us a character of the documents chosen.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.text.words import sentences
from pipeline.tokenizers import token_bytes
from training.augment import section
from training.augment.base import Augmentation, Tokens, documents
from training.keyed_rng import Keys, uniform


class SentenceShuffling(Augmentation):
    """See the module. The same tokens, in another order."""

    name = "sentence_shuffling"
    options: section.SentenceShuffling

    def __init__(self, options: section.SentenceShuffling, tokenizer: Path) -> None:
        super().__init__(options, tokenizer)
        self.pieces = token_bytes.load(tokenizer)

    def rows(self, tokens: Tokens, lengths: Tokens, keys: Keys) -> tuple[Tokens, Tokens]:
        found, width = tokens.copy(), tokens.shape[1]
        # what is drawn for a document or a sentence stands at the place of its first token
        draws = uniform(keys, 2 * width, self.name).reshape(len(tokens), 2, width)
        for b, row in enumerate(found):
            for start, stop in documents(row[: lengths[b]], self.end_of_text):
                if draws[b, 0, start] < self.options.share:
                    row[start:stop] = self._shuffled(row[start:stop], draws[b, 1, start:stop])
        return found, lengths

    def _shuffled(self, text: Tokens, draws: NDArray[np.float64]) -> Tokens:
        stops = self._stops(text)
        starts = np.concatenate([[0], stops[:-1]])
        order = np.argsort(draws[starts], kind="stable")
        return np.concatenate([text[starts[at] : stops[at]] for at in order])

    def _stops(self, text: Tokens) -> NDArray[np.int64]:
        """Behind which tokens a sentence ends; the last one ends with the text."""
        if self.end_of_sentence is not None:
            found = np.flatnonzero(text == self.end_of_sentence) + 1
        else:
            ends = np.cumsum([len(self.pieces.spelled[token]) for token in text])
            found = np.searchsorted(ends, _ends(self.pieces.text(text)), side="left") + 1
        return np.unique(np.append(found[found < len(text)], len(text)))


def _ends(spelled: bytes) -> list[int]:
    """Behind which bytes sentences end. Bytes that are no UTF-8 (a character cut by the row) stay what they are."""
    text, at, found = spelled.decode("utf-8", "surrogateescape"), 0, []
    size = 0
    for sentence in sentences(text):
        first = text.index(sentence, at)
        size += len(text[at : first + len(sentence)].encode("utf-8", "surrogateescape"))
        at = first + len(sentence)
        found.append(size)
    return found
