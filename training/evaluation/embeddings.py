"""Sentence vectors scored by what is near: texts of one topic, and the passage that answers a question.

Topics: each text of a file is compared with all others by cosine; nothing is learned from the labels, so no split is
needed. `precision_at_1`: the nearest is of its topic; `mean_average_precision` of the whole ranking; `same_topic_auc`:
a text of its topic is nearer than one of another. Queries: each is compared with all passages of its file;
`accuracy_at_1` and `mean_reciprocal_rank` of its own. Each figure is computed for the model, for its initial weights
(` before`) and for the difference, item by item (` gain`). Cost: two passes over the texts; BLOCK × texts cosines at
once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NotRequired, TypeAlias, TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor

from training.evaluation import section, text_benchmarks
from training.evaluation.base import EvaluationTask, Score, Subject, TaskResult
from training.evaluation.held_out import HeldOut
from training.evaluation.ratio import interval, ratio
from training.evaluation.sentence_vectors import language_of, sentence_vectors
from training.evaluation.text_benchmarks import LabelledTexts, QueryPassages
from training.models.base import Model

BLOCK = 256
ItemValues: TypeAlias = dict[str, list[float]]  # by metric, the value of each item


class EmbeddingsItem(TypedDict):
    """A file, for the initial weights or the trained ones."""

    file: str
    initial: bool


class FileSummary(TypedDict):
    """A row of embeddings.json: the sizes of a file, and what random vectors would reach."""

    file: str
    texts: NotRequired[int]
    topics: NotRequired[int]
    queries: NotRequired[int]
    passages: NotRequired[int]
    language: str | None
    chance: dict[str, float]


class EmbeddingsResult(TypedDict):
    """The value of each item by metric. `groups`: items of one group are not independent."""

    summary: FileSummary
    items: ItemValues
    groups: list[int]


class Embeddings(EvaluationTask[EmbeddingsItem, EmbeddingsResult | None]):
    """See the module."""

    name = "embeddings"
    options: section.Embeddings

    def cut(self, held_out: HeldOut) -> list[EmbeddingsItem]:
        """An item for each file and state of the model; a wrong file is an error before any item is worked on."""
        for path in map(Path, self.options.topics):
            text_benchmarks.read_topics(path)
        for path in map(Path, self.options.pairs):
            text_benchmarks.read_query_passages(path)
        files = [*self.options.topics, *self.options.pairs]
        return [{"file": path, "initial": initial} for path in files for initial in (False, True)]

    def work(self, item: EmbeddingsItem, subject: Subject) -> EmbeddingsResult | None:
        """The value of each text or query by metric; None where the initial weights are not known."""
        path = Path(item["file"])
        model = subject.initial_model if item["initial"] else subject.model
        if model is None:
            return None
        benchmark, tokenizer = text_benchmarks.read(path), subject.held_out.tokenizer
        if isinstance(benchmark, LabelledTexts):
            return _score_topics(path.name, benchmark, model, tokenizer)
        return _score_queries(path.name, benchmark, model, tokenizer)

    def merge(self, held_out: HeldOut, results: list[EmbeddingsResult | None]) -> TaskResult:
        scores: list[Score] = []
        summaries: list[FileSummary] = []
        items = 0
        for trained, initial in zip(results[::2], results[1::2], strict=True):
            assert trained is not None, "only initial weights may be unknown"
            file = trained["summary"]["file"]
            for metric, values in trained["items"].items():
                states = _states(values, None if initial is None else initial["items"][metric])
                scores += [_score(f"{file}: {metric}{suffix}", state, trained) for suffix, state in states]
            summaries.append(trained["summary"])
            items += len(trained["groups"])
        return TaskResult(scores, {"embeddings.json": summaries}, {"items": items})


def by_topic(vectors: Tensor, labels: Sequence[str]) -> tuple[list[int], ItemValues]:
    """The texts that share their topic with another, and the values of each of them. vectors: texts × width."""
    unit = F.normalize(vectors.double(), dim=1)
    number_of = {label: at for at, label in enumerate(dict.fromkeys(labels))}
    topics = torch.tensor([number_of[label] for label in labels])
    sizes = Counter(labels)
    queries = [at for at, label in enumerate(labels) if sizes[label] > 1]
    items: ItemValues = {"precision_at_1": [], "mean_average_precision": [], "same_topic_auc": []}
    for first in range(0, len(queries), BLOCK):
        block = torch.tensor(queries[first : first + BLOCK])
        cosines = unit[block] @ unit.T
        cosines[torch.arange(len(block)), block] = -math.inf  # a text itself comes last, and is cut off
        order = cosines.sort(dim=1, descending=True, stable=True).indices[:, :-1]
        same = (topics[order] == topics[block].unsqueeze(1)).double()  # of the ranking, nearest first
        for metric, values in zip(items, _ranking_metrics(same), strict=True):
            items[metric] += values.tolist()
    return queries, items


def by_passage(queries: Tensor, passages: Tensor, answers: Sequence[int]) -> ItemValues:
    """The values of each query; both × width. A passage as near as the query's own counts half."""
    unit_queries = F.normalize(queries.double(), dim=1)
    unit_passages = F.normalize(passages.double(), dim=1)
    own = torch.tensor(answers)
    items: ItemValues = {"accuracy_at_1": [], "mean_reciprocal_rank": []}
    for first in range(0, len(unit_queries), BLOCK):
        cosines = unit_queries[first : first + BLOCK] @ unit_passages.T
        own_cosines = cosines.gather(1, own[first : first + BLOCK].unsqueeze(1))
        nearer, ties = (cosines > own_cosines).sum(1).double(), (cosines == own_cosines).sum(1) - 1
        ranks = 1 + nearer + ties.double() / 2
        items["accuracy_at_1"] += (ranks == 1).double().tolist()
        items["mean_reciprocal_rank"] += (1 / ranks).tolist()
    return items


def _ranking_metrics(same: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Precision at 1, average precision and AUC; same: queries × ranks, 1.0 where a text is of the query's topic."""
    hits, ranks = same.cumsum(1), torch.arange(1, same.shape[1] + 1, dtype=torch.float64)
    positives = same.sum(1)
    negatives = same.shape[1] - positives
    # a text of the topic at rank r with h hits up to there has r − h texts of other topics before it
    negatives_before = (same * (ranks - hits)).sum(1) / (positives * negatives).clamp_min(1)
    return same[:, 0], (same * hits / ranks).sum(1) / positives, 1 - negatives_before


def _score_topics(file: str, topics: LabelledTexts, model: Model, tokenizer: Path) -> EmbeddingsResult:
    queries, items = by_topic(sentence_vectors(model, tokenizer, topics.texts), topics.labels)
    sizes, candidates = Counter(topics.labels), len(topics.texts) - 1
    share = math.fsum((sizes[topics.labels[at]] - 1) / candidates for at in queries) / len(queries)
    summary: FileSummary = {
        "file": file,
        "texts": len(topics.texts),
        "topics": len(set(topics.labels)),
        "language": language_of(topics.texts),
        "chance": {"precision_at_1": share, "mean_average_precision": share, "same_topic_auc": 0.5},
    }
    return {"summary": summary, "items": items, "groups": queries}


def _score_queries(file: str, pairs: QueryPassages, model: Model, tokenizer: Path) -> EmbeddingsResult:
    vectors = sentence_vectors(model, tokenizer, [*pairs.queries, *pairs.passages])
    queries, passages = len(pairs.queries), len(pairs.passages)
    query_language, passage_language = language_of(pairs.queries), language_of(pairs.passages)
    summary: FileSummary = {
        "file": file,
        "queries": queries,
        "passages": passages,
        "language": query_language if query_language == passage_language else None,
        "chance": {
            "accuracy_at_1": 1 / passages,
            "mean_reciprocal_rank": math.fsum(1 / rank for rank in range(1, passages + 1)) / passages,
        },
    }
    items = by_passage(vectors[:queries], vectors[queries:], pairs.answers)
    return {"summary": summary, "items": items, "groups": list(pairs.answers)}


def _states(trained: list[float], initial: list[float] | None) -> Iterator[tuple[str, list[float]]]:
    """The suffix of the metric and the values: of the trained model, and where known before training and the gain."""
    yield "", trained
    if initial is not None:
        yield " before", initial
        yield " gain", [after - before for after, before in zip(trained, initial, strict=True)]


def _score(metric: str, values: Sequence[float], result: EmbeddingsResult) -> Score:
    """A mean over items. Queries with one passage are right or wrong together, so the interval is over groups."""
    groups: dict[int, list[float]] = {}
    for group, value in zip(result["groups"], values, strict=True):
        groups.setdefault(group, []).append(value)
    sums = [math.fsum(group_values) for group_values in groups.values()]
    sizes = [float(len(group_values)) for group_values in groups.values()]
    language = result["summary"]["language"]
    return Score("embeddings", metric, ratio(sums, sizes), interval(sums, sizes), len(values), language)
