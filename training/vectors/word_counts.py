"""The counts of the training words, and what follows from them: subsampling and the distribution of negatives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import StageFailed
from pipeline.core.files import read_json
from training.trainer.packed_rows import PackedRows
from training.vectors.windows import ALWAYS, BORDER

UNKNOWN = ""  # no token has this text
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class WordCounts:
    """`counts`: of each token over the training rows; 0 for what is not a word. `ends`: no window crosses them."""

    counts: NDArray[np.int64]
    ends: tuple[int, ...]

    def keep(self, subsample: float) -> NDArray[np.int64]:
        """For windows.kept_words. A word with frequency f stays with (sqrt(f / t) + 1) t / f, as in word2vec.c."""
        probability = np.ones(len(self.counts))
        if subsample > 0:
            frequency = np.maximum(self.counts, 1) / self.counts.sum()
            probability = np.minimum(1.0, (np.sqrt(frequency / subsample) + 1) * subsample / frequency)
        # a word that is in no training row has no vector to learn (it may be in held-out rows)
        thresholds = np.where(self.counts > 0, np.floor(probability * ALWAYS), 0).astype(np.int64)
        thresholds[list(self.ends)] = BORDER
        return thresholds

    def negatives(self, power: float) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """For windows.draw_pool: the cumulative probabilities of the words, and a guide table to search them."""
        weights = np.where(self.counts > 0, self.counts.astype(np.float64), 0.0)
        weights[self.counts > 0] **= power
        cumulative = np.cumsum(weights)
        cumulative /= cumulative[-1]
        size = len(cumulative)
        return cumulative, np.searchsorted(cumulative, np.arange(size) / size, side="right").astype(np.int32)


def count_words(rows: PackedRows, tokenizer: Path, size: int) -> WordCounts:
    """Count the words of the training rows: about 0.2 s for 100 M tokens.

    Raises: StageFailed when no word is left.
    """
    counts = np.zeros(size, np.int64)
    length = rows.tokens.shape[1]
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        tokens, lengths = rows.tokens[first : first + _ROWS_AT_ONCE], rows.lengths[first : first + _ROWS_AT_ONCE]
        counts += np.bincount(tokens[np.arange(length) < lengths[:, None]], minlength=size)
    special = _special(tokenizer)
    ends = tuple(special[name] for name in special if name != UNKNOWN)
    counts[list(special.values())] = 0
    if np.count_nonzero(counts) < 2:
        raise StageFailed(
            f"pretrain: of {int(rows.lengths.sum()):,} training tokens none is left as a word: all are unknown to the "
            "tokenizer or ends of sentences. Lower tokenizer.min_count, raise tokenizer.vocabulary, or add text."
        )
    return WordCounts(counts, ends)


NO_NEIGHBOURS = (
    "no word has a neighbour in its sentence{cause}, so there is nothing to learn word vectors from. Add text with "
    "longer sentences, lower tokenizer.min_count, or raise tokenizer.vocabulary."
)


def check_neighbours(rows: PackedRows, words: WordCounts) -> None:
    """Look for two known words in one sentence of a row: the first rows have them in any usual text.

    Raises: StageFailed when no sentence has two.
    """
    length = rows.tokens.shape[1]
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        tokens, lengths = rows.tokens[first : first + _ROWS_AT_ONCE], rows.lengths[first : first + _ROWS_AT_ONCE]
        counted = np.arange(length) < lengths[:, None]
        is_word, is_end = counted & (words.counts[tokens] > 0), np.isin(tokens, words.ends)
        # which sentence each token is in: no two rows share one
        sentence = np.cumsum(is_end, axis=1) + np.arange(len(tokens))[:, None] * (length + 1)
        if np.bincount(sentence[is_word], minlength=1).max() > 1:
            return
    raise StageFailed(f"pretrain: {NO_NEIGHBOURS.format(cause='')}")


def _special(tokenizer: Path) -> dict[str, int]:
    """The ids of special tokens: ends of texts and sentences, and under UNKNOWN the token of any other word."""
    description = read_json(tokenizer)
    special = {
        str(token.get("content", token["id"])): token["id"]
        for token in description.get("added_tokens", ())
        if token.get("special", True)
    }
    unknown, pieces = description["model"].get("unk_token"), description["model"]["vocab"]
    if unknown and isinstance(pieces, dict):
        special.pop(unknown, None)
        special[UNKNOWN] = pieces[unknown]
    return special
