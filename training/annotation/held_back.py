"""What a classifier does on texts that did not train it: figures for the report and for the choice of a threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.core.files import JsonObject

THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
LEAST = 20  # texts of a language for figures of its own
DIGITS = 4

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def auc(is_positive: Mask, scores: Floats) -> float:
    """The probability that a positive text has the higher score, equal scores half; NaN if all are of one kind."""
    positive = int(is_positive.sum())
    negative = len(is_positive) - positive
    if not positive or not negative:
        return float("nan")
    values, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    ranks = float(mean_rank[inverse][is_positive].sum())
    return (ranks - positive * (positive + 1) / 2) / (positive * negative)


def percentiles(scores: Floats) -> JsonObject:
    """Percentiles by name (p1 … p99)."""
    values = np.percentile(scores, PERCENTILES).tolist()
    return {f"p{percent}": round(value, DIGITS) for percent, value in zip(PERCENTILES, values, strict=True)}


def quality_figures(is_good: Mask, scores: Floats, languages: Sequence[str | None]) -> JsonObject:
    """The figures of a classifier of good and bad texts: over all texts, by threshold, by language, and the scores."""
    tags = np.array([language or "unknown" for language in languages], object)
    return {
        "held_back": _rates(is_good, scores),
        "languages": {
            tag: _rates(is_good[tags == tag], scores[tags == tag])
            for tag in sorted(set(tags.tolist()))
            if (tags == tag).sum() >= LEAST
        },
        "thresholds": {
            f"{threshold:g}": {
                "good_kept": _share(scores[is_good] >= threshold),
                "bad_dropped": _share(scores[~is_good] < threshold),
            }
            for threshold in THRESHOLDS
        },
        "scores": {"good": percentiles(scores[is_good]), "bad": percentiles(scores[~is_good])},
    }


def _rates(is_good: Mask, scores: Floats) -> JsonObject:
    """At a threshold of 0.5. Without texts of one kind there is no AUC."""
    figures: JsonObject = {
        "good": int(is_good.sum()), "bad": int((~is_good).sum()),
        "accuracy": _share((scores >= 0.5) == is_good),
        "good_kept": _share(scores[is_good] >= 0.5), "bad_dropped": _share(scores[~is_good] < 0.5),
        "auc": round(auc(is_good, scores), DIGITS),
    }  # fmt: skip
    return {name: value for name, value in figures.items() if value == value}


def _share(mask: Mask) -> float:
    return round(float(mask.mean()), DIGITS) if len(mask) else float("nan")
