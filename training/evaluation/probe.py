"""What each layer knows: a logistic regression from sentence vectors to topics, by layer, and from ELMo's learned mix.

For each file: the mean over a text's tokens at each layer; features scaled by the training lines; softmax regression
with a ridge, by L-BFGS in fp64 from nought, so the same vectors give the same accuracy. The mix
(Peters et al. 2018, equation 1) is learned with its regression. Accuracy is of the lines whose split is not `train`.
Cost: one pass over the texts, and well under a second a regression of 700 texts × 512.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from training.evaluation import section
from training.evaluation.base import Finding, Piece, Score, Subject, Task
from training.evaluation.held_out import HeldOut
from training.evaluation.ratio import interval
from training.evaluation.sentence_vectors import language_of, layer_vectors
from training.evaluation.texts import TRAIN, read_split_topics
from training.models.mix import Mix

MIX = "mix"
STEPS = 200  # of L-BFGS; a convex regression of these sizes needs about 60


class Probe(Task):
    """See the module."""

    name = "probe"
    options: section.Probe

    def cut(self, held_out: HeldOut) -> list[Piece]:
        for path in self.options.files:
            read_split_topics(Path(path))
        return [{"file": path} for path in self.options.files]

    def work(self, piece: Piece, subject: Subject) -> dict[str, Any]:
        """Which of the judged texts each layer, and the mix, put under their topic."""
        found = read_split_topics(Path(piece["file"]))
        names = {label: at for at, label in enumerate(dict.fromkeys(found.labels))}
        topics = torch.tensor([names[label] for label in found.labels])
        learns = torch.tensor([split == TRAIN for split in found.splits])
        vectors = layer_vectors(subject.model, subject.held_out.tokenizer, found.texts)
        scaled = standardised(vectors.double(), learns)  # texts, layers, width
        right = {}
        for layer in range(scaled.shape[1]):
            right[f"layer {layer}"], _ = probed(scaled[:, layer : layer + 1], topics, learns, self.options.penalty)
        right[MIX], mix = probed(scaled, topics, learns, self.options.penalty)
        most = Counter(topics[learns].tolist()).most_common(1)[0][0]
        return {
            "file": Path(piece["file"]).name, "language": language_of(found.texts), "topics": len(names),
            "learned_from": int(learns.sum()), "most_frequent": float((topics[~learns] == most).double().mean()),
            "right": {name: values.tolist() for name, values in right.items()},
            "mix": {"shares": mix.shares().tolist(), "gamma": mix.gamma.item()},
        }  # fmt: skip

    def merge(self, held_out: HeldOut, results: list[Any]) -> Finding:
        scores = [
            Score(
                self.name, f"{one['file']}: accuracy {name}", math.fsum(values) / len(values),
                interval(values, [1.0] * len(values)), len(values), one["language"],
            )
            for one in results
            for name, values in one["right"].items()
        ]  # fmt: skip
        told = [{key: value for key, value in one.items() if key != "right"} for one in results]
        return Finding(scores, {"probe.json": told}, {"items": sum(len(one["right"][MIX]) for one in results)})


def standardised(vectors: Tensor, learns: Tensor) -> Tensor:
    """Each feature with mean 0 and deviation 1 over the texts that are learned from."""
    known = vectors[learns]
    return (vectors - known.mean(0)) / known.std(0).clamp_min(1e-12)


def probed(layers: Tensor, topics: Tensor, learns: Tensor, penalty: float) -> tuple[Tensor, Mix]:
    """1.0 for each judged text that lands under its topic, else 0.0; and the mix. layers: texts, layers, width."""
    features, count = layers.transpose(0, 1), int(topics.max()) + 1  # layers first, as Mix has them
    weight = torch.zeros(count, layers.shape[2], dtype=torch.float64, requires_grad=True)
    bias, mix = torch.zeros(count, dtype=torch.float64, requires_grad=True), Mix(layers.shape[1]).double()
    learned = [weight, bias, *(mix.parameters() if layers.shape[1] > 1 else ())]
    descent = torch.optim.LBFGS(learned, max_iter=STEPS, tolerance_grad=1e-7, line_search_fn="strong_wolfe")
    known, wanted = features[:, learns], topics[learns]

    def loss() -> Tensor:
        descent.zero_grad()
        said = F.linear(mix(known), weight, bias)
        # gamma and the weights scale the same thing; a ridge on the mix too keeps them from running off together
        size = weight.square().sum() + mix.weights.square().sum() + (mix.gamma - 1).square()
        found: Tensor = F.cross_entropy(said, wanted, reduction="sum") + penalty / 2 * size
        found.backward()  # type: ignore[no-untyped-call]
        return found

    descent.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        said = F.linear(mix(features[:, ~learns]), weight, bias)
        return (said.argmax(1) == topics[~learns]).double(), mix
