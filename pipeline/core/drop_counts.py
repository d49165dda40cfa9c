"""Dropped documents by reason and language, and by reason and source.

`ShardWriter` counts them while a stage writes the rows of rejected/ or duplicates/, so each stage that drops documents
is counted alike, and no pass over the corpus is needed for the data card. Cost: a look-up of an id for each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.counts import NO_LANGUAGE, DroppedBy
from pipeline.core.source_counts import MOST_LANGUAGES, OTHERS, codes, rarest

REASONS = ("rule", "method")
"""The columns of rejected/ and duplicates/ that say why a document was dropped."""
LANGUAGES, SOURCES = "languages", "sources"


class DropCounter:
    """Adds up batches of dropped documents."""

    def __init__(self) -> None:
        self.reasons: DroppedBy = {}

    def add(self, dropped: pa.Table, batch: pa.Table) -> None:
        """Count the rows of rejected/ or duplicates/ of a batch of documents, by the language and source there."""
        if not dropped.num_rows:
            return
        rows = pc.index_in(dropped["id"], value_set=batch["id"].combine_chunks())
        reason = codes(dropped[next(name for name in REASONS if name in dropped.column_names)], "")
        for key, column, missing in ((LANGUAGES, "language", NO_LANGUAGE), (SOURCES, "source", "")):
            value = codes(batch[column].take(rows), missing)
            pairs, numbers = np.unique(reason[0] * len(value[1]) + value[0], return_counts=True)
            for pair, number in zip(pairs.tolist(), numbers.tolist(), strict=True):
                of_reason, of_value = divmod(pair, len(value[1]))
                counts = self.reasons.setdefault(reason[1][of_reason], {}).setdefault(key, {})
                counts[value[1][of_value]] = counts.get(value[1][of_value], 0) + number
        _fold(self.reasons, slack=2)

    def result(self) -> DroppedBy:
        """The counts, sorted."""
        return merged_drops([self.reasons])


def merged_drops(counts: Iterable[Mapping[str, Mapping[str, Mapping[str, int]]]]) -> DroppedBy:
    """The sums of counts, sorted, with the rarest languages of a reason as OTHERS."""
    total: DroppedBy = {}
    for reasons in counts:
        for reason, by_key in reasons.items():
            for key, values in by_key.items():
                sums = total.setdefault(reason, {}).setdefault(key, {})
                for name, number in values.items():
                    sums[name] = sums.get(name, 0) + number
        _fold(total, slack=2)
    _fold(total)
    return {
        reason: {key: dict(sorted(values.items())) for key, values in sorted(by_key.items())}
        for reason, by_key in sorted(total.items())
    }


def _fold(reasons: DroppedBy, *, slack: int = 1) -> None:
    for by_key in reasons.values():
        languages = by_key.get(LANGUAGES, {})
        if len(languages) > slack * MOST_LANGUAGES:
            for language in rarest(languages, MOST_LANGUAGES):
                languages[OTHERS] = languages.get(OTHERS, 0) + languages.pop(language)
