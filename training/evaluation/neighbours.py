"""The words nearest to some words, for people to read: neighbours.json, and a table in the report.

Without `words`, frequent content words of each language of the corpus are taken: those that stand out in its held-out
documents by tf · idf (Spärck Jones 1972), so no list of any language is needed and no language is the default.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import torch

from pipeline.core.errors import StageFailed
from training.evaluation import section
from training.evaluation.base import Finding, Piece, Subject, Task
from training.evaluation.held_out import UNKNOWN, HeldOut
from training.evaluation.words import Vocabulary, Words, read_vocabulary, words_of

FILE = "neighbours.json"


class Neighbours(Task):
    """See the module."""

    name = "neighbours"
    options: section.Neighbours

    def cut(self, held_out: HeldOut) -> list[Piece]:
        vocabulary = read_vocabulary(held_out.tokenizer)
        if self.options.words is None:
            return [{"words": content_words(held_out, vocabulary, self.options.per_language)}]
        if all(vocabulary.find(word) is None for word in self.options.words):
            raise StageFailed(
                f"evaluate: neighbours: the vocabulary has none of {', '.join(self.options.words[:5])}. Name words "
                "that occur in the corpus, or leave `words` out."
            )
        return [{"words": [[word, None] for word in self.options.words]}]

    def work(self, piece: Piece, subject: Subject) -> list[dict[str, Any]]:
        words = words_of(subject.model, subject.held_out.tokenizer)
        found = [
            {"word": word, "language": language, "place": words.vocabulary.find(word)}
            for word, language in piece["words"]
        ]
        places = [one["place"] for one in found if one["place"] is not None]
        near = dict(zip(places, nearest(words, places, count=self.options.count), strict=True))
        return [_told(words, one, near.get(one.pop("place"))) for one in found]

    def merge(self, held_out: HeldOut, results: list[Any]) -> Finding:
        rows = [row for result in results for row in result]
        return Finding(files={FILE: rows}, counts={"words": len(rows)})


def nearest(words: Words, places: list[int], *, count: int) -> list[list[tuple[int, float]]]:
    """For each place the `count` nearest other words with their cosines, the nearest first."""
    found: list[list[tuple[int, float]]] = []
    chosen = torch.tensor(places, dtype=torch.long, device=words.unit.device)
    for at, scores in words.scores(words.unit[chosen]):
        own = chosen[at : at + len(scores)]
        scores.scatter_(1, own[:, None], -torch.inf)
        best = scores.topk(min(count, max(1, scores.shape[1] - 1)), dim=1)
        for near, cosines in zip(best.indices.tolist(), best.values.tolist(), strict=True):
            found.append(list(zip(near, cosines, strict=True)))
    return found


def _told(words: Words, one: dict[str, Any], near: list[tuple[int, float]] | None) -> dict[str, Any]:
    """`neighbours` is null where the vocabulary has no such word."""
    texts = words.vocabulary.texts
    # four digits: the rest differs from one vector unit to another and tells nobody anything
    if near is None:
        return {**one, "neighbours": None}
    return {**one, "neighbours": [{"word": texts[at].strip(), "cosine": round(cosine, 4)} for at, cosine in near]}


def content_words(held_out: HeldOut, vocabulary: Vocabulary, per_language: int) -> list[tuple[str, str]]:
    """(word, language) for each language of the held-out documents, by its name."""
    named = {at: text.strip() for at, text in zip(vocabulary.ids, vocabulary.texts, strict=True)}
    return [
        (named[token], language)
        for language, documents in sorted(_counted(held_out).items())
        if language != UNKNOWN
        for token in _standing_out(documents, named)[:per_language]
    ]


def _counted(held_out: HeldOut) -> dict[str, list[Counter[int]]]:
    """By language, how often each document holds each token."""
    found: dict[str, dict[str, Counter[int]]] = {}
    for row in held_out.rows():
        for document, start, end in row.spans:
            of_language = found.setdefault(held_out.language_of[document], {})
            of_language.setdefault(document, Counter()).update(row.tokens[start:end].tolist())
    return {language: list(documents.values()) for language, documents in found.items()}


def _standing_out(documents: list[Counter[int]], named: dict[int, str]) -> list[int]:
    """Tokens that are words of letters, by falling tf · idf.

    A name of one document alone, and a word of more than half of them, which joins others in a sentence, come last.
    """
    often, within = Counter[int](), Counter[int]()
    for counts in documents:
        often.update(counts)
        within.update(counts.keys())

    def rank(token: int) -> tuple[bool, float, int]:
        weight = often[token] * math.log((1 + len(documents)) / within[token])
        return not 2 <= within[token] <= len(documents) / 2, -weight, token

    return sorted((token for token in often if _is_word(named.get(token, ""))), key=rank)


def _is_word(text: str) -> bool:
    # one letter of an alphabet is an abbreviation; one Han character is mostly a part of other words
    return len(text) > 1 and text.isalpha()
