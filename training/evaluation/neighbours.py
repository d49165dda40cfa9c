"""The words nearest to some words, for people to read: neighbours.json, and a table in the report.

Without `words`, frequent content words of each language of the corpus are used: those with the highest tf · idf in its
held-out documents (Spärck Jones 1972), so no list of any language is needed and no language is the default.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TypeAlias, TypedDict

import torch

from pipeline.core.errors import StageFailed
from training.evaluation import section
from training.evaluation.base import EvaluationTask, Subject, TaskResult
from training.evaluation.held_out import UNKNOWN, HeldOut
from training.evaluation.word_vectors import EmbeddingVocabulary, WordVectors, read_vocabulary, read_word_vectors

FILE = "neighbours.json"
# the place of a word in the vocabulary, and its cosine
NearPlace: TypeAlias = tuple[int, float]


class NeighboursItem(TypedDict):
    """Words, each with its language where it is taken from held-out documents."""

    words: list[tuple[str, str | None]]


class Neighbour(TypedDict):
    word: str
    cosine: float


class NeighboursOfWord(TypedDict):
    """A row of neighbours.json; `neighbours` is null where the vocabulary does not have the word."""

    word: str
    language: str | None
    neighbours: list[Neighbour] | None


class Neighbours(EvaluationTask[NeighboursItem, list[NeighboursOfWord]]):
    """See the module."""

    name = "neighbours"
    options: section.Neighbours

    def cut(self, held_out: HeldOut) -> list[NeighboursItem]:
        vocabulary = read_vocabulary(held_out.tokenizer)
        if self.options.words is None:
            return [{"words": content_words(held_out, vocabulary, self.options.per_language)}]
        if all(vocabulary.find(word) is None for word in self.options.words):
            raise StageFailed(
                f"evaluate: neighbours: the vocabulary has none of {', '.join(self.options.words[:5])}. Name words "
                "that occur in the corpus, or leave `words` out."
            )
        return [{"words": [(word, None) for word in self.options.words]}]

    def work(self, item: NeighboursItem, subject: Subject) -> list[NeighboursOfWord]:
        vectors = read_word_vectors(subject.model, subject.held_out.tokenizer)
        place_of = {word: vectors.vocabulary.find(word) for word, _ in item["words"]}
        places = [place for place in place_of.values() if place is not None]
        near = dict(zip(places, nearest(vectors, places, count=self.options.count), strict=True))
        rows: list[NeighboursOfWord] = []
        for word, language in item["words"]:
            place = place_of[word]
            neighbours = None if place is None else _neighbours(vectors, near[place])
            rows.append({"word": word, "language": language, "neighbours": neighbours})
        return rows

    def merge(self, held_out: HeldOut, results: list[list[NeighboursOfWord]]) -> TaskResult:
        rows = [row for result in results for row in result]
        return TaskResult(files={FILE: rows}, counts={"words": len(rows)})


def nearest(vectors: WordVectors, places: list[int], *, count: int) -> list[list[NearPlace]]:
    """For each place the `count` nearest other words with their cosines, the nearest first."""
    rows: list[list[NearPlace]] = []
    queries = torch.tensor(places, dtype=torch.long, device=vectors.unit.device)
    for start, scores in vectors.scores(vectors.unit[queries]):
        own = queries[start : start + len(scores)]
        scores.scatter_(1, own[:, None], -torch.inf)
        best = scores.topk(min(count, max(1, scores.shape[1] - 1)), dim=1)
        for near, cosines in zip(best.indices.tolist(), best.values.tolist(), strict=True):
            rows.append(list(zip(near, cosines, strict=True)))
    return rows


def _neighbours(vectors: WordVectors, near: list[NearPlace]) -> list[Neighbour]:
    texts = vectors.vocabulary.texts
    # four digits: further ones differ from one vector unit to another and mean nothing
    return [{"word": texts[place].strip(), "cosine": round(cosine, 4)} for place, cosine in near]


def content_words(
    held_out: HeldOut, vocabulary: EmbeddingVocabulary, per_language: int
) -> list[tuple[str, str | None]]:
    """(word, language) for each language of the held-out documents, in the order of the languages' names."""
    word_of = {token: text.strip() for token, text in zip(vocabulary.ids, vocabulary.texts, strict=True)}
    return [
        (word_of[token], language)
        for language, documents in sorted(_token_counts(held_out).items())
        if language != UNKNOWN
        for token in _by_tf_idf(documents, word_of)[:per_language]
    ]


def _token_counts(held_out: HeldOut) -> dict[str, list[Counter[int]]]:
    """By language, how often each token occurs in each document."""
    counts: dict[str, dict[str, Counter[int]]] = {}
    for row in held_out.rows():
        for document_id, start, end in row.spans:
            of_language = counts.setdefault(held_out.language_of[document_id], {})
            of_language.setdefault(document_id, Counter()).update(row.tokens[start:end].tolist())
    return {language: list(documents.values()) for language, documents in counts.items()}


def _by_tf_idf(documents: list[Counter[int]], word_of: dict[int, str]) -> list[int]:
    """Tokens that are words of letters, by falling tf · idf.

    A name of one document alone, and a word of more than half of them, which joins others in a sentence, come last.
    """
    term_counts, document_counts = Counter[int](), Counter[int]()
    for counts in documents:
        term_counts.update(counts)
        document_counts.update(counts.keys())

    def rank(token: int) -> tuple[bool, float, int]:
        weight = term_counts[token] * math.log((1 + len(documents)) / document_counts[token])
        return not 2 <= document_counts[token] <= len(documents) / 2, -weight, token

    return sorted((token for token in term_counts if _is_word(word_of.get(token, ""))), key=rank)


def _is_word(text: str) -> bool:
    # one letter of an alphabet is an abbreviation; one Han character is mostly a part of other words
    return len(text) > 1 and text.isalpha()
