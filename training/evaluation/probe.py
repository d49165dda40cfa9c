"""What each layer encodes: logistic regressions from sentence vectors to topics, by layer, and from ELMo's learned mix.

For each file: the mean over a text's tokens at each layer; features scaled by the training lines; softmax regression
with a ridge penalty, by L-BFGS in fp64 from zeros, so the same vectors give the same accuracy. The mix (Peters et al.
2018, equation 1) is learned with its regression. Accuracy is of the lines whose split is not `train`.
Cost: one pass over the texts, and well under a second for a regression of 700 texts × 512.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor

from training.evaluation import section
from training.evaluation.base import EvaluationTask, Score, Subject, TaskResult
from training.evaluation.held_out import HeldOut
from training.evaluation.ratio import interval
from training.evaluation.sentence_vectors import language_of, layer_vectors
from training.evaluation.text_benchmarks import TRAIN, read_split_topics
from training.models.mix import Mix

MIX = "mix"
STEPS = 200  # of L-BFGS; a convex regression of these sizes needs about 60


class ProbeItem(TypedDict):
    file: str


class MixWeights(TypedDict):
    shares: list[float]
    gamma: float


class ProbeSummary(TypedDict):
    """A row of probe.json; `most_frequent`: the accuracy of always naming the most frequent topic."""

    file: str
    language: str | None
    topics: int
    learned_from: int
    most_frequent: float
    mix: MixWeights


class ProbeResult(TypedDict):
    """`correct`: by layer, and for the mix, 1.0 or 0.0 for each test text."""

    summary: ProbeSummary
    correct: dict[str, list[float]]


class Probe(EvaluationTask[ProbeItem, ProbeResult]):
    """See the module."""

    name = "probe"
    options: section.Probe

    def cut(self, held_out: HeldOut) -> list[ProbeItem]:
        for path in self.options.files:
            read_split_topics(Path(path))
        return [{"file": path} for path in self.options.files]

    def work(self, item: ProbeItem, subject: Subject) -> ProbeResult:
        """The test texts that each layer, and the mix, put under their topic."""
        path = Path(item["file"])
        labelled = read_split_topics(path)
        number_of = {label: at for at, label in enumerate(dict.fromkeys(labelled.labels))}
        topics = torch.tensor([number_of[label] for label in labelled.labels])
        train = torch.tensor([split == TRAIN for split in labelled.splits])
        vectors = layer_vectors(subject.model, subject.held_out.tokenizer, labelled.texts)
        scaled = standardise(vectors.double(), train)  # texts, layers, width
        correct: dict[str, list[float]] = {}
        for layer in range(scaled.shape[1]):
            layer_correct, _ = fit_probe(scaled[:, layer : layer + 1], topics, train, self.options.penalty)
            correct[f"layer {layer}"] = layer_correct.tolist()
        mix_correct, mix = fit_probe(scaled, topics, train, self.options.penalty)
        correct[MIX] = mix_correct.tolist()
        most_frequent = Counter(topics[train].tolist()).most_common(1)[0][0]
        summary: ProbeSummary = {
            "file": path.name,
            "language": language_of(labelled.texts),
            "topics": len(number_of),
            "learned_from": int(train.sum()),
            "most_frequent": float((topics[~train] == most_frequent).double().mean()),
            "mix": {"shares": mix.shares().tolist(), "gamma": mix.gamma.item()},
        }
        return {"summary": summary, "correct": correct}

    def merge(self, held_out: HeldOut, results: list[ProbeResult]) -> TaskResult:
        scores = [
            Score(
                self.name, f"{result['summary']['file']}: accuracy {name}", math.fsum(values) / len(values),
                interval(values, [1.0] * len(values)), len(values), result["summary"]["language"],
            )
            for result in results
            for name, values in result["correct"].items()
        ]  # fmt: skip
        summaries = [result["summary"] for result in results]
        items = sum(len(result["correct"][MIX]) for result in results)
        return TaskResult(scores, {"probe.json": summaries}, {"items": items})


def standardise(vectors: Tensor, train: Tensor) -> Tensor:
    """Each feature with mean 0 and deviation 1 over the training texts. train: a flag for each text."""
    training_vectors = vectors[train]
    return (vectors - training_vectors.mean(0)) / training_vectors.std(0).clamp_min(1e-12)


def fit_probe(layers: Tensor, topics: Tensor, train: Tensor, penalty: float) -> tuple[Tensor, Mix]:
    """1.0 for each test text that is put under its topic, else 0.0; and the mix. layers: texts, layers, width."""
    features, count = layers.transpose(0, 1), int(topics.max()) + 1  # layers first, as Mix has them
    weight = torch.zeros(count, layers.shape[2], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(count, dtype=torch.float64, requires_grad=True)
    mix = Mix(layers.shape[1]).double()
    parameters = [weight, bias, *(mix.parameters() if layers.shape[1] > 1 else ())]
    optimizer = torch.optim.LBFGS(parameters, max_iter=STEPS, tolerance_grad=1e-7, line_search_fn="strong_wolfe")
    train_features, train_topics = features[:, train], topics[train]

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = F.linear(mix(train_features), weight, bias)
        # gamma and the weights scale the same thing; a ridge on the mix too keeps both finite
        squared = weight.square().sum() + mix.weights.square().sum() + (mix.gamma - 1).square()
        loss: Tensor = F.cross_entropy(logits, train_topics, reduction="sum") + penalty / 2 * squared
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        logits = F.linear(mix(features[:, ~train]), weight, bias)
        return (logits.argmax(1) == topics[~train]).double(), mix
