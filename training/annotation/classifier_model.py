"""A trained classifier of texts: learned from labelled texts, saved as safetensors and JSON, and loaded again.

The same texts give the same bytes on every machine: one thread, one order, and no sum that a compiler may rearrange.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from pipeline.core.errors import StageFailed, UserError
from pipeline.core.files import JsonValue, read_json, replacing, write_json
from pipeline.kernels.column import buffers
from pipeline.kernels.hashed_classifier import (
    Features,
    LabelWeights,
    Rates,
    document_scratch,
    predict,
    train_epoch,
)
from pipeline.text.unicode import tables, version
from training.annotation.classifier_section import CONFIG, WEIGHTS

FORMAT = "bloomery-text-classifier-1"
MOST = Features(order=8, bits=26, most=10_000_000)  # the largest options
# chosen on the sets of tests/benchmarks/bench_classifier.py; the first squares damp the first steps, whose order
# otherwise counts too much on small sets
RATE, BIAS_RATE, DECAY, FIRST_SQUARES = 0.15, 0.015, 1e-6, 1e-4


@dataclass(frozen=True)
class TextClassifier:
    """`weights`: float32 [cells + 1, labels], biases last."""

    labels: tuple[str, ...]
    features: Features
    weights: LabelWeights

    def probabilities(self, text: pa.Array | pa.ChunkedArray) -> LabelWeights:
        """float32 [documents, labels]: of each label, NaN for a blank text. 25 to 60 MB of text per CPU-second."""
        data, offsets = buffers(text)
        out = np.empty((len(offsets) - 1, len(self.labels)), np.float32)
        scratch = document_scratch(int(np.diff(offsets).max(initial=0)), self.features)
        predict(data, offsets, tables(), self.features, scratch, self.weights, out)
        return out

    def with_equal_frequencies(self, counts: Sequence[int]) -> TextClassifier:
        """The classifier for labels that are equally frequent, learned from so many texts of each (Saerens 2002)."""
        weights = self.weights.copy()
        shares = np.array(counts, np.float64) / sum(counts)
        weights[-1] -= np.log(shares * len(counts)).astype(np.float32)
        return TextClassifier(self.labels, self.features, weights)

    def save(self, folder: Path) -> None:
        """Write config.json and model.safetensors."""
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / WEIGHTS) as beside:
            save_file({"weights": self.weights}, beside)
        write_json(
            folder / CONFIG,
            {"format": FORMAT, "labels": list(self.labels), "unicode": version(), **self.features._asdict()},
        )

    @classmethod
    def load(cls, folder: Path) -> TextClassifier:
        """The classifier of a folder. Nothing in a file is executed.

        Raises: UserError when the folder holds none, or one whose files contradict each other.
        """
        config = read_json(folder / CONFIG) if (folder / CONFIG).is_file() else {}
        if not _is_config(config):
            raise UserError(f"{folder}: no trained classifier ({CONFIG} is missing or describes something else).")
        features = Features(*(config[name] for name in Features._fields))
        labels = tuple(config["labels"])
        weights = load_file(folder / WEIGHTS).get("weights")
        shape = (2**features.bits + 1, len(labels))
        if weights is None or weights.dtype != np.float32 or weights.shape != shape or not np.isfinite(weights).all():
            raise UserError(f"{folder}: {WEIGHTS} does not hold the weights that {CONFIG} describes. Copy it again.")
        if config["unicode"] != version():
            raise UserError(
                f"{folder}: trained with Unicode {config['unicode']}, but this release reads text with {version()}. "
                "Train it again."
            )
        return cls(labels, features, weights)


def _is_config(config: JsonValue) -> bool:
    """Whether this is what `save` writes: of this format, with sizes that options may have."""
    if not isinstance(config, dict) or config.get("format") != FORMAT or "unicode" not in config:
        return False
    labels = config.get("labels")
    return isinstance(labels, list) and all(
        isinstance(config.get(name), int) and 0 < config[name] <= most for name, most in MOST._asdict().items()
    )


def train(
    text: pa.LargeStringArray,
    labels: NDArray[np.int64],
    names: Sequence[str],
    features: Features,
    *,
    epochs: int,
    orders: int,
) -> TextClassifier:
    """Learn from texts and the numbers of their labels: the mean of `orders` trainings of `epochs` passes.

    The order of the texts matters. 10 to 25 MB of text per CPU-second and pass.
    Raises: StageFailed when a weight is not a finite number.
    """
    data, offsets = buffers(text)
    scratch = document_scratch(int(np.diff(offsets).max(initial=0)), features)
    rates = Rates(np.float32(RATE), np.float32(BIAS_RATE), np.float32(DECAY))
    shape = (2**features.bits + 1, len(names))
    total = np.zeros(shape, np.float32)
    for number in range(orders):
        weights, squares = np.zeros(shape, np.float32), np.full(shape, FIRST_SQUARES, np.float32)
        for epoch in range(epochs):
            order = shuffled(len(labels), number * epochs + epoch)
            train_epoch(data, offsets, labels, order, tables(), features, rates, scratch, weights, squares)
        total += weights
    if not np.isfinite(total).all():
        raise StageFailed("annotate: classifier: weights are not finite numbers after training. Use fewer epochs.")
    return TextClassifier(tuple(names), features, (total / np.float32(orders)).astype(np.float32))


def shuffled(n: int, number: int) -> NDArray[np.int64]:
    """One of many fixed orders of n things: by a hash of position and number (SplitMix64, public domain)."""
    value = (np.arange(n, dtype=np.uint64) + np.uint64(number << 40)) * np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.argsort(value ^ (value >> np.uint64(31)), kind="stable")
