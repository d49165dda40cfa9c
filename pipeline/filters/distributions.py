"""Distributions of every signal by language and source: quantiles and small histograms. About a second for 400,000
documents; of a larger corpus as many are looked at, spread over its files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.core.artifact import Artifact
from pipeline.core.exploring import BINS, QUANTILES, Distribution, Distributions
from pipeline.filters.base import Floats
from pipeline.filters.measured_rows import documents_of, row_groups, signal_names

MOST_DOCUMENTS = 400_000  # 100 MB of signals
_RANGE = (0.005, 0.995)

Key = tuple[str | None, str]


def distributions_of(artifacts: Sequence[Artifact], signals: Sequence[str] | None = None) -> Distributions:
    """The distributions of every signal, or of these; for each language, and each of its sources where there are
    several."""
    names = signal_names(artifacts) if signals is None else list(signals)
    total = documents_of(artifacts)
    step = max(1, -(-total // MOST_DOCUMENTS))
    groups: dict[Key, list[npt.NDArray[np.float64]]] = defaultdict(list)
    for group in row_groups(artifacts, signals, step=step):
        values = np.column_stack([group.signals[name] for name in names])
        keys = list(zip(group.languages, group.sources, strict=True))
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        numbered = np.array([numbers[key] for key in keys])
        for key, number in numbers.items():
            groups[key].append(values[numbered == number])
    by_key = {key: np.concatenate(blocks) for key, blocks in groups.items()}
    everything = np.concatenate(list(by_key.values())) if by_key else np.empty((0, len(names)))
    ranges = {name: _range(everything[:, column]) for column, name in enumerate(names)}
    rows = [
        row for language, source, values in _blocks(by_key) for row in _rows(language, source, values, names, ranges)
    ]
    return Distributions(total, len(everything), ranges, tuple(rows))


def _blocks(by_key: dict[Key, Floats]) -> list[tuple[str | None, str | None, Floats]]:
    """Each language with all its documents, then with those of each source; the largest languages first."""
    languages: dict[str | None, dict[str, Floats]] = defaultdict(dict)
    for (language, source), values in by_key.items():
        languages[language][source] = values
    blocks: list[tuple[str | None, str | None, Floats]] = []
    for language, of_source in sorted(
        languages.items(), key=lambda item: (-sum(map(len, item[1].values())), item[0] or "")
    ):
        blocks.append((language, None, np.concatenate(list(of_source.values()))))
        if len(of_source) > 1:
            blocks += [(language, source, values) for source, values in sorted(of_source.items())]
    return blocks


def _rows(
    language: str | None, source: str | None, values: Floats, names: list[str], ranges: dict[str, tuple[float, float]]
) -> list[Distribution]:
    rows = []
    for column, name in enumerate(names):
        measured = values[:, column][~np.isnan(values[:, column])]
        quantiles = np.quantile(measured, QUANTILES).tolist() if len(measured) else []
        low, high = ranges[name]
        counts, _ = np.histogram(np.clip(measured, low, high), bins=BINS, range=(low, high))
        rows.append(
            Distribution(name, language, source, len(values), len(measured), tuple(quantiles), tuple(counts.tolist()))
        )
    return rows


def _range(values: Floats) -> tuple[float, float]:
    measured = values[~np.isnan(values)]
    if not len(measured):
        return 0.0, 1.0
    low, high = np.quantile(measured, _RANGE).tolist()
    return (low, high) if high > low else (low, low + 1.0)
