"""Which tokens of a text are hidden: tokens, whole words, or spans of words. Chosen by given numbers alone.

The number is fixed by rule, so that it never hangs on chance: `share` of the tokens, rounded, at least one. Words and
spans that no longer fit are left out; where none fits, one word is taken whole. A text of 128 tokens takes about 30 µs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.objectives.reading import Flags

Numbers = NDArray[np.float64]
LONGEST = 10  # words of a span (Joshi et al. 2020, arXiv 1907.10529)
ON = 0.2  # the chance that a span ends after each of its words


def budget(share: float, tokens: int) -> int:
    """How many of so many tokens are hidden."""
    return max(1, math.floor(share * tokens + 0.5)) if tokens else 0


def tokens(count: int, numbers: Numbers) -> NDArray[np.int64]:
    """The places of `count` tokens: those with the smallest numbers, in order. `numbers`: one a token."""
    return np.sort(np.argsort(numbers, kind="stable")[:count])


def words(count: int, goes_on: Flags, numbers: Numbers) -> NDArray[np.int64]:
    """The places of the words that fit, taken in the order of their numbers. `numbers`: at least one a word."""
    starts, stops = _words(goes_on)
    order = np.argsort(numbers[: len(starts)], kind="stable").tolist()
    sizes, chosen, left = (stops - starts).tolist(), [], count
    for word in order:
        if sizes[word] <= left:
            chosen.append(word)
            left -= sizes[word]
            if not left:
                break
    return _places(starts, stops, sorted(chosen or order[:1]))


def spans(count: int, goes_on: Flags, lengths: Numbers, places: Numbers) -> list[NDArray[np.int64]]:
    """The places of each span: neighbouring words, as many as drawn or still fit. `lengths`, `places`: one a try."""
    starts, stops = _words(goes_on)
    taken, found, left = np.zeros(len(starts), np.bool_), list[NDArray[np.int64]](), count
    first_words = (places * len(starts)).astype(np.int64)
    for word, length in zip(first_words.tolist(), geometric(lengths).tolist(), strict=True):
        if not left:
            break
        last = word
        while last < min(word + length, len(starts)) and not taken[last] and stops[last] - starts[word] <= left:
            last += 1
        if last > word:
            taken[word:last] = True
            found.append(np.arange(starts[word], stops[last - 1]))
            left -= len(found[-1])
    return found or [_places(starts, stops, [int(first_words[0])])]


def geometric(numbers: Numbers) -> NDArray[np.int64]:
    """Lengths of 1 … LONGEST words, each one more with the chance 1 - ON: the geometric distribution, cut."""
    whole = 1 - (1 - ON) ** LONGEST
    return 1 + np.floor(np.log1p(-numbers * whole) / math.log(1 - ON)).astype(np.int64)


def _words(goes_on: Flags) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where words start and stop, [start, stop)."""
    starts = np.flatnonzero(~goes_on)
    return starts, np.append(starts[1:], len(goes_on))


def _places(starts: NDArray[np.int64], stops: NDArray[np.int64], chosen: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([np.arange(starts[word], stops[word]) for word in chosen])
