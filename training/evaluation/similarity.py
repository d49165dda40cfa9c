"""How well vectors agree with people on similar words: Spearman's correlation of cosines with judgements, by file.

Pairs with a word outside the vocabulary (its `restrict_vocabulary` most frequent words) are left out, as in gensim's
`evaluate_word_pairs`, and the share of the others is a score of its own. Intervals: Fisher's z with the standard error
of Bonett and Wright (2000, Psychometrika 65) for ranks. Cost: a few milliseconds beside loading.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import StageFailed
from training.evaluation import section
from training.evaluation.base import EvaluationTask, Score, Subject, TaskResult
from training.evaluation.held_out import HeldOut
from training.evaluation.ratio import NORMAL_95
from training.evaluation.word_benchmarks import JudgedPair, read_judged_pairs
from training.evaluation.word_vectors import EmbeddingVocabulary, read_vocabulary, read_word_vectors


class SimilarityItem(TypedDict):
    file: str


class SimilarityResult(TypedDict):
    """The correlation on the covered pairs of a file."""

    file: str
    value: float
    covered: int
    total: int


class Similarity(EvaluationTask[SimilarityItem, SimilarityResult]):
    """See the module."""

    name = "similarity"
    options: section.Similarity

    def cut(self, held_out: HeldOut) -> list[SimilarityItem]:
        """An item for each file; a file that the vocabulary does not cover is an error before any work."""
        vocabulary = read_vocabulary(held_out.tokenizer)
        for path in map(Path, self.options.files):
            pairs = read_judged_pairs(path)
            _require_two(path, len(self._covered(vocabulary, pairs)), len(pairs))
        return [{"file": path} for path in self.options.files]

    def work(self, item: SimilarityItem, subject: Subject) -> SimilarityResult:
        path = Path(item["file"])
        vectors = read_word_vectors(subject.model, subject.held_out.tokenizer)
        pairs = read_judged_pairs(path)
        covered = self._covered(vectors.vocabulary, pairs)
        _require_two(path, len(covered), len(pairs))
        cosines = vectors.cosines([left for _, left, _ in covered], [right for _, _, right in covered])
        value = spearman([judgement for judgement, _, _ in covered], cosines)
        return {"file": path.name, "value": value, "covered": len(covered), "total": len(pairs)}

    def merge(self, held_out: HeldOut, results: list[SimilarityResult]) -> TaskResult:
        scores = []
        for result in results:
            file, value, covered = result["file"], result["value"], result["covered"]
            scores += [
                Score(self.name, f"{file}: spearman", value, interval(value, covered), covered),
                Score(self.name, f"{file}: covered", covered / result["total"], None, result["total"]),
            ]
        return TaskResult(scores, counts={"pairs": sum(result["covered"] for result in results)})

    def _covered(self, vocabulary: EmbeddingVocabulary, pairs: Sequence[JudgedPair]) -> list[tuple[float, int, int]]:
        """Of the pairs with both words in the vocabulary: the judgement and the places of the words."""
        first = self.options.restrict_vocabulary
        places = [
            (pair.judgement, vocabulary.find(pair.left, first=first), vocabulary.find(pair.right, first=first))
            for pair in pairs
        ]
        return [(judgement, left, right) for judgement, left, right in places if left is not None and right is not None]


def spearman(judgements: Sequence[float], cosines: Sequence[float]) -> float:
    """Pearson's correlation of the ranks; equal values share the mean of theirs. 0 where one side is all equal."""
    left, right = (ranks(np.asarray(values, np.float64)) for values in (judgements, cosines))
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
    """95 % around a Spearman correlation of so many pairs; None where the approximation does not hold (below five)."""
    if pairs < 5 or abs(value) >= 1.0:
        return None
    half = NORMAL_95 * math.sqrt((1 + value**2 / 2) / (pairs - 3))
    return math.tanh(math.atanh(value) - half), math.tanh(math.atanh(value) + half)


def _require_two(path: Path, covered: int, total: int) -> None:
    if covered < 2:
        raise StageFailed(
            f"evaluate: similarity: {covered} of the {total:,} pairs of {path.name} have both words in the vocabulary, "
            "and a correlation needs two. Leave the file out, or train on text of its language and kind."
        )
