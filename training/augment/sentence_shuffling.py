"""Shuffle the sentences of a document (Lewis et al. 2020, arXiv 1910.13461): those of its part in the row, in place.

Sentences are those of `pipeline.text.words`, in any language. A sentence ends with the token that holds its last byte;
the white space after it begins the next one. A tokenizer that drops white space is read as it spells (`3. 5`); a word
tokenizer marks the ends of sentences itself, with </s>. Cost: 0.6 us a character of the selected documents.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.text.words import sentences
from pipeline.tokenizers import token_bytes
from training.augment import section
from training.augment.base import Augmentation, TokenRows, Uniforms, documents
from training.keyed_rng import Keys, uniform


class SentenceShuffling(Augmentation):
    """See the module. The same tokens, in another order."""

    name = "sentence_shuffling"
    options: section.SentenceShuffling

    def __init__(self, options: section.SentenceShuffling, tokenizer: Path) -> None:
        super().__init__(options, tokenizer)
        self.pieces = token_bytes.load(tokenizer)

    def rows(self, tokens: TokenRows, lengths: TokenRows, keys: Keys) -> tuple[TokenRows, TokenRows]:
        shuffled = tokens.copy()
        width = tokens.shape[1]
        # the draws of a document or a sentence are at the index of its first token
        draws = uniform(keys, 2 * width, self.name).reshape(len(tokens), 2, width)
        for b, row in enumerate(shuffled):
            for start, stop in documents(row[: lengths[b]], self.end_of_text):
                if draws[b, 0, start] < self.options.share:
                    row[start:stop] = self._shuffle(row[start:stop], draws[b, 1, start:stop])
        return shuffled, lengths

    def _shuffle(self, text: TokenRows, draws: Uniforms) -> TokenRows:
        stops = self._sentence_stops(text)
        starts = np.concatenate([[0], stops[:-1]])
        order = np.argsort(draws[starts], kind="stable")
        return np.concatenate([text[starts[index] : stops[index]] for index in order])

    def _sentence_stops(self, text: TokenRows) -> NDArray[np.int64]:
        """The index after the last token of each sentence; the last sentence ends with the text."""
        if self.end_of_sentence is not None:
            stops = np.flatnonzero(text == self.end_of_sentence) + 1
        else:
            ends = np.cumsum([len(self.pieces.by_id[token]) for token in text])
            stops = np.searchsorted(ends, _sentence_ends(self.pieces.text(text)), side="left") + 1
        return np.unique(np.append(stops[stops < len(text)], len(text)))


def _sentence_ends(spelled: bytes) -> list[int]:
    """The byte offset at which each sentence ends. Bytes that are no UTF-8 (a character cut by the row) are kept."""
    text = spelled.decode("utf-8", "surrogateescape")
    ends = []
    position = 0
    size_bytes = 0
    for sentence in sentences(text):
        stop = text.index(sentence, position) + len(sentence)
        size_bytes += len(text[position:stop].encode("utf-8", "surrogateescape"))
        position = stop
        ends.append(size_bytes)
    return ends
