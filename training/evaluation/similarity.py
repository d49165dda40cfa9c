"""How far vectors find the same words alike as people do: Spearman's correlation of cosines with judgements, by file.

Pairs with a word outside the vocabulary (its `restrict_vocabulary` most frequent words) are left out, as gensim's
`evaluate_word_pairs` leaves them, and the share that was not is a score of its own. Intervals: Fisher's z with the
standard error of Bonett and Wright (2000, Psychometrika 65) for ranks. Cost: a few milliseconds beside loading.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import StageFailed
from training.evaluation import section
from training.evaluation.base import Finding, Piece, Score, Subject, Task
from training.evaluation.held_out import HeldOut
from training.evaluation.questions import read_pairs
from training.evaluation.ratio import NORMAL_95
from training.evaluation.words import read_vocabulary, words_of


class Similarity(Task):
    """See the module."""

    name = "similarity"
    options: section.Similarity

    def cut(self, held_out: HeldOut) -> list[Piece]:
        """A piece a file; a file that the vocabulary cannot be asked from is told before anything is worked on."""
        vocabulary, first = read_vocabulary(held_out.tokenizer), self.options.restrict_vocabulary
        for path in map(Path, self.options.files):
            pairs = read_pairs(path)
            covered = sum(
                vocabulary.find(pair.one, first=first) is not None
                and vocabulary.find(pair.other, first=first) is not None
                for pair in pairs
            )
            _ask(path, covered, len(pairs))
        return [{"file": path} for path in self.options.files]

    def work(self, piece: Piece, subject: Subject) -> dict[str, Any]:
        path, words = Path(piece["file"]), words_of(subject.model, subject.held_out.tokenizer)
        pairs, first, vocabulary = read_pairs(path), self.options.restrict_vocabulary, words.vocabulary
        found = [(vocabulary.find(pair.one, first=first), vocabulary.find(pair.other, first=first)) for pair in pairs]
        known = [(at, one, other) for at, (one, other) in enumerate(found) if one is not None and other is not None]
        _ask(path, len(known), len(pairs))
        cosines = words.cosine([one for _, one, _ in known], [other for _, _, other in known])
        value = spearman([pairs[at].judged for at, _, _ in known], cosines)
        return {"file": path.name, "value": value, "covered": len(known), "total": len(pairs)}

    def merge(self, held_out: HeldOut, results: list[Any]) -> Finding:
        scores = []
        for one in results:
            name, value, covered = one["file"], one["value"], one["covered"]
            scores += [
                Score(self.name, f"{name}: spearman", value, interval(value, covered), covered),
                Score(self.name, f"{name}: covered", covered / one["total"], None, one["total"]),
            ]
        return Finding(scores, counts={"pairs": sum(one["covered"] for one in results)})


def spearman(judged: Sequence[float], cosines: Sequence[float]) -> float:
    """Pearson's correlation of the ranks; equal values share the mean of theirs. 0 where one side is all equal."""
    left, right = (ranks(np.asarray(values, np.float64)) for values in (judged, cosines))
    left, right = left - left.mean(), right - right.mean()
    length = math.sqrt(float(left @ left) * float(right @ right))
    return float(left @ right) / length if length else 0.0


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1; equal values share their mean."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes).astype(np.float64)
    means: NDArray[np.float64] = last - (sizes - 1) / 2
    return means[group]


def interval(value: float, pairs: int) -> tuple[float, float] | None:
    """95 % around a Spearman correlation of so many pairs; None where the approximation says nothing (below five)."""
    if pairs < 5 or abs(value) >= 1.0:
        return None
    half = NORMAL_95 * math.sqrt((1 + value**2 / 2) / (pairs - 3))
    return math.tanh(math.atanh(value) - half), math.tanh(math.atanh(value) + half)


def _ask(path: Path, covered: int, total: int) -> None:
    if covered < 2:
        raise StageFailed(
            f"evaluate: similarity: {covered} of the {total:,} pairs of {path.name} have both words in the vocabulary, "
            "and a correlation needs two. Leave the file out, or train on text of its language and kind."
        )
