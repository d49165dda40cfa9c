"""classifier: how likely a text is from the good one of two sets that the user names, from 0 to 1.

Prepared once: both sets are read, each text once; texts of both sets are left out; a tenth is held back and measures
the model. Cost: README.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.core.errors import UserError
from pipeline.core.files import JsonObject
from pipeline.kernels.hashed_classifier import Features
from training.annotation.base import Floats, Scorer
from training.annotation.classifier_model import TextClassifier, train
from training.annotation.classifier_section import ClassifierOptions
from training.annotation.examples import Examples, Hashes, read_examples, tags_of
from training.annotation.held_back import quality_figures
from training.annotation.text_sets import TextReader

SETS = ("good", "bad")
LEAST_TEXTS = 20  # different texts of a set: with fewer, the held-back figures say nothing
MB = 1_000_000


class QualityClassifier(Scorer):
    """The annotation model `classifier`."""

    options: ClassifierOptions
    model: TextClassifier

    def prepare(self, texts: Mapping[str, TextReader], folder: Path) -> JsonObject:
        if not texts:
            return {}
        sets = {name: read_examples(texts[name], self.options.max_mb * MB) for name in SETS}
        shared = _in_both(sets)
        examples = {name: each.where(~np.isin(each.key, shared)) for name, each in sets.items()}
        held = {name: each.is_held_back(self.options.held_back) for name, each in examples.items()}
        training = {name: each.where(~held[name]) for name, each in examples.items()}
        measuring = {name: each.where(held[name]) for name, each in examples.items()}
        _check_sizes(training, measuring, len(shared))
        model = self._train(training)
        model.save(folder)
        figures = {
            "texts": {
                name: {
                    "read": each.records, "unreadable": texts[name].bad, "repeated": each.duplicates,
                    "beyond_max_mb": each.records - each.duplicates - len(each), "in_both_sets": len(shared),
                    "trained_on": len(training[name]), "held_back": len(measuring[name]),
                    "training_mb": round(training[name].text_bytes / MB, 2),
                }
                for name, each in sets.items()
            }
        }  # fmt: skip
        return {**figures, **_measure(model, measuring)}

    def _train(self, training: Mapping[str, Examples]) -> TextClassifier:
        """The two sets are mixed by their keys, so that the order of files does not matter."""
        keys = np.concatenate([training[name].key for name in SETS])
        order = np.argsort(keys, kind="stable")
        labels = np.repeat(np.arange(len(SETS)), [len(training[name]) for name in SETS])[order]
        text = pa.concat_arrays([training[name].text for name in SETS]).take(pa.array(order))
        options = self.options
        features = Features(options.ngrams, options.table_bits, options.max_characters)
        model = train(text, labels, SETS, features, epochs=options.epochs, orders=options.orders)
        return model.with_equal_frequencies([len(training[name]) for name in SETS])

    def load(self, folder: Path, model: Path | None) -> None:
        self.model = TextClassifier.load(folder if model is None else model)
        if self.model.labels != SETS:
            raise UserError(
                f"annotate: the classifier of `folder` has the labels {', '.join(self.model.labels)}, not good and bad."
            )

    def score(self, documents: pa.Table) -> Floats:
        probabilities = self.model.probabilities(documents["text"])
        scores: Floats = probabilities[:, 0].astype(np.float64)
        if self.options.languages is not None:
            scores[~np.isin(tags_of(documents), self.options.languages)] = np.nan
        return scores


def _in_both(sets: Mapping[str, Examples]) -> Hashes:
    shared: Hashes = np.intersect1d(sets["good"].key, sets["bad"].key)
    return shared


def _check_sizes(training: Mapping[str, Examples], measuring: Mapping[str, Examples], shared: int) -> None:
    """Raises: UserError when a set has too few texts to train on or to measure with."""
    for name in SETS:
        texts = len(training[name]) + len(measuring[name])
        if texts < LEAST_TEXTS or not len(training[name]) or not len(measuring[name]):
            also = f", without {shared:,} that are in both sets" if shared else ""
            raise UserError(
                f"annotate: classifier.{name} has {texts:,} different texts{also}, {len(measuring[name]):,} of them "
                f"held back. It needs at least {LEAST_TEXTS}, better thousands, and one held back: name more texts."
            )


def _measure(model: TextClassifier, measuring: Mapping[str, Examples]) -> JsonObject:
    scores = {name: model.probabilities(measuring[name].text)[:, 0].astype(np.float64) for name in SETS}
    is_good = np.repeat([True, False], [len(scores[name]) for name in SETS])
    languages = [language for name in SETS for language in measuring[name].language.to_pylist()]
    all_scores = np.concatenate([scores[name] for name in SETS])
    scored = ~np.isnan(all_scores)
    kept = [language for language, has_score in zip(languages, scored.tolist(), strict=True) if has_score]
    return quality_figures(is_good[scored], all_scores[scored], kept)
