"""a is to b as c is to …: the word whose vector is nearest to b − a + c (3CosAdd, Mikolov et al. 2013), by file.

As gensim's `evaluate_word_analogies`: vectors at unit length, the answer sought among the `restrict_vocabulary` most
frequent words, the three words of the question left out of it, questions with a word outside left out and told as
coverage. Intervals: Wilson (1927), questions taken as independent, which those of one pair of words are not quite.
Cost: questions × words × width multiplications, a block at a time; 10,000 questions on 200,000 × 300 take a minute of
one thread.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from pipeline.core.errors import StageFailed
from training.evaluation import section
from training.evaluation.base import Finding, Piece, Score, Subject, Task
from training.evaluation.held_out import HeldOut
from training.evaluation.questions import Question, read_questions
from training.evaluation.ratio import NORMAL_95
from training.evaluation.words import Vocabulary, Words, read_vocabulary, words_of

# a piece is worth the seconds that a process takes to start and to load the vectors
PIECE_QUESTIONS = 4096


class Analogies(Task):
    """See the module. A piece's result: for each section its questions answered rightly, asked, and written."""

    name = "analogies"
    options: section.Analogies

    def cut(self, held_out: HeldOut) -> list[Piece]:
        """A file that the vocabulary cannot be asked from is told before anything is worked on."""
        vocabulary, found = read_vocabulary(held_out.tokenizer), list[Piece]()
        for path in self.options.files:
            questions = read_questions(Path(path))
            if not self._known(vocabulary, questions):
                raise StageFailed(_unknown(Path(path).name, len(questions)))
            found += [{"file": path, "start": at} for at in range(0, len(questions), PIECE_QUESTIONS)]
        return found

    def work(self, piece: Piece, subject: Subject) -> dict[str, Any]:
        path, words = Path(piece["file"]), words_of(subject.model, subject.held_out.tokenizer)
        questions = read_questions(path)[piece["start"] :][:PIECE_QUESTIONS]
        known = self._known(words.vocabulary, questions)
        right = answered(words, list(known.values()), first=self.options.restrict_vocabulary)
        sections = {question.section: [0, 0, 0] for question in questions}
        for question in questions:
            sections[question.section][2] += 1
        for at, is_right in zip(known, right, strict=True):
            sections[questions[at].section][0] += is_right
            sections[questions[at].section][1] += 1
        return {"file": path.name, "sections": [[name, *counts] for name, counts in sections.items()]}

    def merge(self, held_out: HeldOut, results: list[Any]) -> Finding:
        scores, asked = list[Score](), 0
        for file in dict.fromkeys(result["file"] for result in results):
            sections: dict[str, list[int]] = {}
            for name, *counts in (row for result in results if result["file"] == file for row in result["sections"]):
                sections[name] = [a + b for a, b in zip(sections.get(name, [0, 0, 0]), counts, strict=True)]
            right, covered, total = (sum(column) for column in zip(*sections.values(), strict=True))
            if not covered:
                raise StageFailed(_unknown(file, total))
            asked += covered
            scores += [_accuracy(f"{file}: accuracy", right, covered)]
            scores += [Score(self.name, f"{file}: covered", covered / total, None, total)]
            named = ((name, counts) for name, counts in sections.items() if name and counts[1])
            scores += [_accuracy(f"{file}: accuracy: {name}", counts[0], counts[1]) for name, counts in named]
        return Finding(scores, counts={"questions": asked})

    def _known(self, vocabulary: Vocabulary, questions: list[Question]) -> dict[int, list[int]]:
        """Which questions have all their words, and the words' places: a, b, c, answer."""
        found: dict[int, list[int]] = {}
        for at, one in enumerate(questions):
            asked = (one.a, one.b, one.c, one.answer)
            places = [vocabulary.find(word, first=self.options.restrict_vocabulary) for word in asked]
            if None not in places:
                found[at] = places  # type: ignore[assignment]
        return found


def answered(words: Words, questions: list[list[int]], *, first: int) -> list[bool]:
    """Whether each question (places of a, b, c, answer) is answered rightly."""
    if not questions:
        return []
    places = torch.tensor(questions, device=words.unit.device)
    a, b, c = (words.unit[places[:, column]] for column in range(3))
    right: list[bool] = []
    for at, scores in words.scores(b - a + c, first=first):
        asked = places[at : at + len(scores)]
        scores.scatter_(1, asked[:, :3], -torch.inf)
        right += (scores.argmax(1) == asked[:, 3]).tolist()
    return right


def wilson(right: int, asked: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927): within [0, 1], and honest near its ends."""
    share, squared = right / asked, NORMAL_95**2
    middle = (share + squared / (2 * asked)) / (1 + squared / asked)
    half = NORMAL_95 * math.sqrt(share * (1 - share) / asked + squared / (4 * asked**2)) / (1 + squared / asked)
    # at the ends the bound is exactly the end, which rounding may miss
    return middle - half if right else 0.0, middle + half if right < asked else 1.0


def _accuracy(metric: str, right: int, asked: int) -> Score:
    return Score(Analogies.name, metric, right / asked, wilson(right, asked), asked)


def _unknown(file: str, total: int) -> str:
    return (
        f"evaluate: analogies: none of the {total:,} questions of {file} has all four words in the vocabulary. "
        "Leave the file out, or train on text of its language and kind."
    )
