"""Select the tokens of a text that are hidden: tokens, whole words, or spans of words, from random numbers it is given.

The number of tokens is not random: `share` of the tokens, rounded, at least one. Words and spans that exceed it are
left out; where none fits, one word is hidden completely. A text of 128 tokens takes about 30 µs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.objectives.boundaries import BoolRow

Uniforms = NDArray[np.float64]
MAX_SPAN_WORDS = 10  # words of a span (Joshi et al. 2020, arXiv 1907.10529)
END_PROBABILITY = 0.2  # that a span ends after each of its words


def budget(share: float, tokens: int) -> int:
    """The number of hidden tokens in a text of so many."""
    return max(1, math.floor(share * tokens + 0.5)) if tokens else 0


def tokens(count: int, numbers: Uniforms) -> NDArray[np.int64]:
    """The positions of `count` tokens: those with the smallest numbers, in order. `numbers`: one a token."""
    return np.sort(np.argsort(numbers, kind="stable")[:count])


def words(count: int, continues_word: BoolRow, numbers: Uniforms) -> NDArray[np.int64]:
    """The positions of words, at most `count` tokens, in the order of their numbers. `numbers`: one a word or more."""
    starts, stops = _words(continues_word)
    order = np.argsort(numbers[: len(starts)], kind="stable").tolist()
    sizes = (stops - starts).tolist()
    selected: list[int] = []
    left = count
    for word in order:
        if sizes[word] <= left:
            selected.append(word)
            left -= sizes[word]
            if not left:
                break
    return _positions(starts, stops, sorted(selected or order[:1]))


def spans(count: int, continues_word: BoolRow, lengths: Uniforms, positions: Uniforms) -> list[NDArray[np.int64]]:
    """The positions of each span: neighbouring words, as many as drawn or as fit. `lengths`, `positions`: one a try."""
    starts, stops = _words(continues_word)
    hidden = np.zeros(len(starts), np.bool_)
    selected: list[NDArray[np.int64]] = []
    left = count
    first_words = (positions * len(starts)).astype(np.int64)
    for word, length in zip(first_words.tolist(), geometric(lengths).tolist(), strict=True):
        if not left:
            break
        last = word
        while last < min(word + length, len(starts)) and not hidden[last] and stops[last] - starts[word] <= left:
            last += 1
        if last > word:
            hidden[word:last] = True
            selected.append(np.arange(starts[word], stops[last - 1]))
            left -= len(selected[-1])
    return selected or [_positions(starts, stops, [int(first_words[0])])]


def geometric(numbers: Uniforms) -> NDArray[np.int64]:
    """Lengths of 1 … MAX_SPAN_WORDS words, from the truncated geometric distribution with END_PROBABILITY."""
    total = 1 - (1 - END_PROBABILITY) ** MAX_SPAN_WORDS
    return 1 + np.floor(np.log1p(-numbers * total) / math.log(1 - END_PROBABILITY)).astype(np.int64)


def _words(continues_word: BoolRow) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The words of a text, [start, stop)."""
    starts = np.flatnonzero(~continues_word)
    return starts, np.append(starts[1:], len(continues_word))


def _positions(starts: NDArray[np.int64], stops: NDArray[np.int64], selected: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([np.arange(starts[word], stops[word]) for word in selected])
