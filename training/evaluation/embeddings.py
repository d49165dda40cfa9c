"""Sentence vectors judged by what lies near: texts of one topic, and the passage that answers a question.

Topics: each text of a file asks all the others by cosine; nothing is learned from the labels, so no split is needed.
`precision_at_1`: the nearest is of its topic; `mean_average_precision` of the whole ranking; `same_topic_auc`: a text
of its topic lies nearer than one of another. Pairs: each query asks all passages of its file; `accuracy_at_1` and
`mean_reciprocal_rank` of its own. Each figure is taken of the model, of its first weights (` before`) and of the
difference, item by item (` gain`). Cost: two passes over the texts; a block of BLOCK × texts cosines at once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from training.evaluation import section, texts
from training.evaluation.base import Finding, Piece, Score, Subject, Task
from training.evaluation.held_out import HeldOut
from training.evaluation.ratio import interval, ratio
from training.evaluation.sentence_vectors import language_of, sentence_vectors
from training.models.base import Model

BLOCK = 256
Items = dict[str, list[float]]  # a value an item, by metric


class Embeddings(Task):
    """See the module."""

    name = "embeddings"
    options: section.Embeddings

    def cut(self, held_out: HeldOut) -> list[Piece]:
        """A piece a file and state of the model; a wrong file is told before anything is worked on."""
        for path in map(Path, self.options.topics):
            texts.read_topics(path)
        for path in map(Path, self.options.pairs):
            texts.read_pairs(path)
        files = [*self.options.topics, *self.options.pairs]
        return [{"file": path, "first": first} for path in files for first in (False, True)]

    def work(self, piece: Piece, subject: Subject) -> dict[str, Any] | None:
        """The value of each item by metric; None for first weights that are not known."""
        path, model = Path(piece["file"]), subject.first if piece["first"] else subject.model
        if model is None:
            return None
        found, tokenizer = texts.read(path), subject.held_out.tokenizer
        judged = (
            _topics(found, model, tokenizer) if isinstance(found, texts.Topics) else _pairs(found, model, tokenizer)
        )
        return {"file": path.name, **judged}

    def merge(self, held_out: HeldOut, results: list[Any]) -> Finding:
        scores: list[Score] = []
        told = []
        for after, before in zip(results[::2], results[1::2], strict=True):
            for metric, values in after["items"].items():
                states = _states(values, before and before["items"][metric])
                scores += [_score(f"{after['file']}: {metric}{state}", some, after) for state, some in states]
            told.append({key: value for key, value in after.items() if key not in ("items", "groups")})
        return Finding(scores, {"embeddings.json": told}, {"items": sum(len(one["groups"]) for one in results[::2])})


def by_topic(vectors: Tensor, labels: Sequence[str]) -> tuple[list[int], Items]:
    """Which texts have another of their topic, and what each of them finds. vectors: texts × width."""
    unit, names = F.normalize(vectors.double(), dim=1), {label: at for at, label in enumerate(dict.fromkeys(labels))}
    topics = torch.tensor([names[label] for label in labels])
    sizes = Counter(labels)
    asked = [at for at, label in enumerate(labels) if sizes[label] > 1]
    found: Items = {"precision_at_1": [], "mean_average_precision": [], "same_topic_auc": []}
    for first in range(0, len(asked), BLOCK):
        block = torch.tensor(asked[first : first + BLOCK])
        cosines = unit[block] @ unit.T
        cosines[torch.arange(len(block)), block] = -math.inf  # itself comes last, and is cut off
        order = cosines.sort(dim=1, descending=True, stable=True).indices[:, :-1]
        same = (topics[order] == topics[block].unsqueeze(1)).double()  # of the ranking, nearest first
        for metric, values in zip(found, _of_rankings(same), strict=True):
            found[metric] += values.tolist()
    return asked, found


def by_passage(queries: Tensor, passages: Tensor, answers: Sequence[int]) -> Items:
    """What each query finds among the passages; both × width. A passage as near as its own counts half."""
    asking, unit, own = (
        F.normalize(queries.double(), dim=1),
        F.normalize(passages.double(), dim=1),
        torch.tensor(answers),
    )
    found: Items = {"accuracy_at_1": [], "mean_reciprocal_rank": []}
    for first in range(0, len(asking), BLOCK):
        cosines = asking[first : first + BLOCK] @ unit.T
        mine = cosines.gather(1, own[first : first + BLOCK].unsqueeze(1))
        ranks = 1 + (cosines > mine).sum(1).double() + ((cosines == mine).sum(1) - 1).double() / 2
        found["accuracy_at_1"] += (ranks == 1).double().tolist()
        found["mean_reciprocal_rank"] += (1 / ranks).tolist()
    return found


def _of_rankings(same: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Precision at 1, average precision and AUC; same: queries × ranks, 1.0 where a text is of the query's topic."""
    hits, ranks = same.cumsum(1), torch.arange(1, same.shape[1] + 1, dtype=torch.float64)
    positives = same.sum(1)
    others = same.shape[1] - positives
    # a text of the topic at rank r with h hits up to there has r − h others before it
    before = (same * (ranks - hits)).sum(1) / (positives * others).clamp_min(1)
    return same[:, 0], (same * hits / ranks).sum(1) / positives, 1 - before


def _topics(found: texts.Topics, model: Model, tokenizer: Path) -> dict[str, Any]:
    asked, items = by_topic(sentence_vectors(model, tokenizer, found.texts), found.labels)
    sizes, among = Counter(found.labels), len(found.texts) - 1
    share = math.fsum((sizes[found.labels[at]] - 1) / among for at in asked) / len(asked)
    chance = {"precision_at_1": share, "mean_average_precision": share, "same_topic_auc": 0.5}
    about = {"texts": len(found.texts), "topics": len(set(found.labels)), "language": language_of(found.texts)}
    return {**about, "chance": chance, "items": items, "groups": asked}


def _pairs(found: texts.Pairs, model: Model, tokenizer: Path) -> dict[str, Any]:
    vectors = sentence_vectors(model, tokenizer, [*found.queries, *found.passages])
    asked, passages = len(found.queries), len(found.passages)
    items = by_passage(vectors[:asked], vectors[asked:], found.answers)
    languages = (language_of(found.queries), language_of(found.passages))
    chance = {
        "accuracy_at_1": 1 / passages,
        "mean_reciprocal_rank": math.fsum(1 / rank for rank in range(1, passages + 1)) / passages,
    }
    language = languages[0] if languages[0] == languages[1] else None
    about = {"queries": asked, "passages": passages, "language": language}
    return {**about, "chance": chance, "items": items, "groups": list(found.answers)}


def _states(after: list[float], before: list[float] | None) -> Iterator[tuple[str, list[float]]]:
    yield "", after
    if before is not None:
        yield " before", before
        yield " gain", [one - other for one, other in zip(after, before, strict=True)]


def _score(metric: str, values: Sequence[float], of: dict[str, Any]) -> Score:
    """A mean over items. Questions on one passage stand or fall together: the interval is over groups of them."""
    groups: dict[int, list[float]] = {}
    for group, value in zip(of["groups"], values, strict=True):
        groups.setdefault(group, []).append(value)
    sums, sizes = [math.fsum(some) for some in groups.values()], [float(len(some)) for some in groups.values()]
    return Score("embeddings", metric, ratio(sums, sizes), interval(sums, sizes), len(values), of["language"])
