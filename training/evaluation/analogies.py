"""a is to b as c is to …: the word whose vector is nearest to b − a + c (3CosAdd, Mikolov et al. 2013), by file.

As gensim's `evaluate_word_analogies`: vectors at unit length; the answer is searched among the `restrict_vocabulary`
most frequent words without the three words of the question; questions with a word outside the vocabulary are left out
and reported as coverage. Intervals: Wilson (1927), questions taken as independent, which those of one pair of words
are not quite. Cost: questions × words × width multiplications, one block at a time; 10,000 questions on 200,000 × 300
take a minute of one thread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import torch

from pipeline.core.errors import StageFailed
from training.evaluation import section
from training.evaluation.base import EvaluationTask, Score, Subject, TaskResult
from training.evaluation.held_out import HeldOut
from training.evaluation.ratio import NORMAL_95
from training.evaluation.word_benchmarks import AnalogyQuestion, read_questions
from training.evaluation.word_vectors import EmbeddingVocabulary, WordVectors, read_vocabulary, read_word_vectors

# an item is worth the seconds that a process takes to start and to load the vectors
ITEM_QUESTIONS = 4096


class AnalogiesItem(TypedDict):
    """The questions of a file from the one at `start` on."""

    file: str
    start: int


class SectionCounts(TypedDict):
    """The questions of a section: answered correctly, covered by the vocabulary, and in the file."""

    section: str
    correct: int
    covered: int
    total: int


class AnalogiesResult(TypedDict):
    file: str
    sections: list[SectionCounts]


class Analogies(EvaluationTask[AnalogiesItem, AnalogiesResult]):
    """See the module."""

    name = "analogies"
    options: section.Analogies

    def cut(self, held_out: HeldOut) -> list[AnalogiesItem]:
        """A file of which the vocabulary covers no question is an error before any item is worked on."""
        vocabulary = read_vocabulary(held_out.tokenizer)
        items: list[AnalogiesItem] = []
        for path in self.options.files:
            questions = read_questions(Path(path))
            if not self._covered(vocabulary, questions):
                raise StageFailed(_nothing_covered(Path(path).name, len(questions)))
            items += [{"file": path, "start": start} for start in range(0, len(questions), ITEM_QUESTIONS)]
        return items

    def work(self, item: AnalogiesItem, subject: Subject) -> AnalogiesResult:
        path = Path(item["file"])
        vectors = read_word_vectors(subject.model, subject.held_out.tokenizer)
        questions = read_questions(path)[item["start"] :][:ITEM_QUESTIONS]
        covered = self._covered(vectors.vocabulary, questions)
        correct = answered_correctly(vectors, list(covered.values()), first=self.options.restrict_vocabulary)
        sections: dict[str, SectionCounts] = {}
        for question in questions:
            counts = sections.setdefault(question.section, _no_counts(question.section))
            counts["total"] += 1
        for at, is_correct in zip(covered, correct, strict=True):
            sections[questions[at].section]["correct"] += is_correct
            sections[questions[at].section]["covered"] += 1
        return {"file": path.name, "sections": list(sections.values())}

    def merge(self, held_out: HeldOut, results: list[AnalogiesResult]) -> TaskResult:
        scores: list[Score] = []
        all_covered = 0
        for file in dict.fromkeys(result["file"] for result in results):
            sections = _sections_of(file, results)
            correct, covered, total = (
                sum(counts["correct"] for counts in sections),
                sum(counts["covered"] for counts in sections),
                sum(counts["total"] for counts in sections),
            )
            if not covered:
                raise StageFailed(_nothing_covered(file, total))
            all_covered += covered
            scores += [_accuracy(f"{file}: accuracy", correct, covered)]
            scores += [Score(self.name, f"{file}: covered", covered / total, None, total)]
            scores += [
                _accuracy(f"{file}: accuracy: {counts['section']}", counts["correct"], counts["covered"])
                for counts in sections
                if counts["section"] and counts["covered"]
            ]
        return TaskResult(scores, counts={"questions": all_covered})

    def _covered(self, vocabulary: EmbeddingVocabulary, questions: Sequence[AnalogyQuestion]) -> dict[int, list[int]]:
        """The questions with all their words in the vocabulary, and the words' places: a, b, c, answer."""
        covered: dict[int, list[int]] = {}
        for at, question in enumerate(questions):
            words = (question.a, question.b, question.c, question.answer)
            places = [vocabulary.find(word, first=self.options.restrict_vocabulary) for word in words]
            if None not in places:
                covered[at] = places  # type: ignore[assignment]
        return covered


def _no_counts(section: str) -> SectionCounts:
    return {"section": section, "correct": 0, "covered": 0, "total": 0}


def _sections_of(file: str, results: Sequence[AnalogiesResult]) -> list[SectionCounts]:
    """The counts of a file's sections, summed over its items."""
    sections: dict[str, SectionCounts] = {}
    for counts in (counts for result in results if result["file"] == file for counts in result["sections"]):
        summed = sections.setdefault(counts["section"], _no_counts(counts["section"]))
        summed["correct"] += counts["correct"]
        summed["covered"] += counts["covered"]
        summed["total"] += counts["total"]
    return list(sections.values())


def answered_correctly(vectors: WordVectors, questions: list[list[int]], *, first: int) -> list[bool]:
    """Whether each question (places of a, b, c, answer) is answered correctly."""
    if not questions:
        return []
    places = torch.tensor(questions, device=vectors.unit.device)
    a, b, c = (vectors.unit[places[:, column]] for column in range(3))
    correct: list[bool] = []
    for start, scores in vectors.scores(b - a + c, first=first):
        block = places[start : start + len(scores)]
        scores.scatter_(1, block[:, :3], -torch.inf)
        correct += (scores.argmax(1) == block[:, 3]).tolist()
    return correct


def wilson(correct: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927): within [0, 1], and valid near its ends."""
    share, squared = correct / total, NORMAL_95**2
    middle = (share + squared / (2 * total)) / (1 + squared / total)
    half = NORMAL_95 * math.sqrt(share * (1 - share) / total + squared / (4 * total**2)) / (1 + squared / total)
    # at the ends the bound is exactly the end, which rounding may miss
    return middle - half if correct else 0.0, middle + half if correct < total else 1.0


def _accuracy(metric: str, correct: int, total: int) -> Score:
    return Score(Analogies.name, metric, correct / total, wilson(correct, total), total)


def _nothing_covered(file: str, total: int) -> str:
    return (
        f"evaluate: analogies: none of the {total:,} questions of {file} has all four words in the vocabulary. "
        "Leave the file out, or train on text of its language and kind."
    )
