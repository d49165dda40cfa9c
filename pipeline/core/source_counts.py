"""Documents, bytes and characters of text by source and language, and the licences that documents state.

`ShardWriter` counts every file of documents while it writes it, so each stage that makes documents is counted without
code of its own, and no pass over the corpus is needed for the data card. What follows from content alone is counted, so
the counts are the same with any number of workers. Cost: 2 GB of text a CPU-second, half of it for characters
(tests/benchmarks/bench_card.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.core.counts import NO_LANGUAGE, BySource, Measures, SourceCounts

LICENCE_KEYS = ("licence", "license", "License", "Licence")
"""The fields of `metadata` that hold the licence of a document; the first of them that a document has counts."""
MOST_LANGUAGES, MOST_LICENCES = 200, 50
"""Of a source; the rarest beyond are counted together as OTHERS, so that hostile tags cannot fill the memory."""
LONGEST = 100  # characters of a licence or a language tag
OTHERS = "others"


class SourceCounter:
    """Adds up batches of documents; memory is bounded by the number of sources."""

    def __init__(self) -> None:
        self.sources: BySource = {}

    def add(self, table: pa.Table, **measures: NDArray[np.int64]) -> None:
        """Add a batch with the columns source, language and text; `measures` has further values of each document."""
        if not table.num_rows:
            return
        source, language = (
            codes(table[name], missing) for name, missing in (("source", ""), ("language", NO_LANGUAGE))
        )
        pairs, group = np.unique(source[0] * len(language[1]) + language[0], return_inverse=True)
        text = table["text"]
        values = {
            "bytes": pc.binary_length(text).to_numpy(),
            "characters": pc.utf8_length(text).to_numpy(),
            **measures,
        }
        documents = np.bincount(group)
        sums = {name: np.bincount(group, weights=numbers) for name, numbers in values.items()}
        for index, pair in enumerate(pairs.tolist()):
            of_source, of_language = divmod(pair, len(language[1]))
            counts = self._of(source[1][of_source])["languages"].setdefault(language[1][of_language], {})
            _increase(counts, {"documents": int(documents[index]), **{name: int(s[index]) for name, s in sums.items()}})
        if "metadata" in table.column_names:
            self._add_licences(table["metadata"].combine_chunks(), *source)
        for counts_of_source in self.sources.values():
            _fold(counts_of_source, slack=2)

    def result(self) -> BySource:
        """The counts, sorted."""
        return merged([self.sources])

    def _of(self, source: str) -> SourceCounts:
        return self.sources.setdefault(source, {"languages": {}, "licences": {}})

    def _add_licences(self, metadata: pa.ListArray, sources: NDArray[np.int64], names: list[str]) -> None:
        pairs = metadata.flatten()
        named = np.flatnonzero(pc.is_in(pairs.field("key"), pa.array(LICENCE_KEYS)).to_numpy(zero_copy_only=False))
        if not len(named):
            return
        documents, first = np.unique(pc.list_parent_indices(metadata).to_numpy()[named], return_index=True)
        values = pairs.field("value").take(pa.array(named[first]))
        values = pc.utf8_slice_codeunits(pc.utf8_trim_whitespace(values), 0, LONGEST).to_pylist()
        for source, licence in zip(sources[documents].tolist(), values, strict=True):
            if licence:
                licences = self._of(names[source])["licences"]
                licences[licence] = licences.get(licence, 0) + 1


def merged(counts: Iterable[Mapping[str, SourceCounts]]) -> BySource:
    """The sums of counts, sorted, with the rarest languages and licences of a source as OTHERS."""
    total: BySource = {}
    for sources in counts:
        for name, counts_of_source in sources.items():
            sums = total.setdefault(name, {"languages": {}, "licences": {}})
            for language, measures in counts_of_source["languages"].items():
                _increase(sums["languages"].setdefault(language, {}), measures)
            _increase(sums["licences"], counts_of_source["licences"])
            _fold(sums, slack=2)
    for sums in total.values():
        _fold(sums)
    return {
        name: {
            "languages": dict(sorted(sums["languages"].items())),
            "licences": dict(sorted(sums["licences"].items())),
        }
        for name, sums in sorted(total.items())
    }


def codes(column: pa.ChunkedArray, missing: str) -> tuple[NDArray[np.int64], list[str]]:
    """The index of each value of a column, and the distinct values, cut to LONGEST characters."""
    encoded = column.combine_chunks().fill_null(missing).dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), [value[:LONGEST] for value in encoded.dictionary.to_pylist()]


def _increase(total: Measures, measures: Mapping[str, int]) -> None:
    for name, value in measures.items():
        total[name] = total.get(name, 0) + value


def _fold(counts: SourceCounts, *, slack: int = 1) -> None:
    """Count the rarest together where there are more than `slack` times as many as are kept."""
    languages, licences = counts["languages"], counts["licences"]
    if len(languages) > slack * MOST_LANGUAGES:
        sizes = {language: measures["documents"] for language, measures in languages.items()}
        for language in rarest(sizes, MOST_LANGUAGES):
            _increase(languages.setdefault(OTHERS, {}), languages.pop(language))
    if len(licences) > slack * MOST_LICENCES:
        for licence in rarest(licences, MOST_LICENCES):
            licences[OTHERS] = licences.get(OTHERS, 0) + licences.pop(licence)


def rarest(sizes: Mapping[str, int], kept: int) -> list[str]:
    """All names but the `kept` - 1 largest, and OTHERS."""
    ordered = sorted((name for name in sizes if name != OTHERS), key=lambda name: (-sizes[name], name))
    return ordered[kept - 1 :]
