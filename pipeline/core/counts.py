"""The counts of a stage, as stored in manifest.json and shown in the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NotRequired, TypedDict

import numpy as np

ByLanguage = dict[str, dict[str, int]]


NO_LANGUAGE = "unknown"


class ByLanguageCounter:
    """Adds up signals of documents by language; `prefix` selects the signals and is cut off their names."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.counts: dict[str, dict[str, int]] = {}

    def add(self, languages: Sequence[str | None], signals: Mapping[str, np.ndarray]) -> None:
        """Add a batch: the language of each document, and each signal as an array."""
        for name, values in signals.items():
            if not name.startswith(self.prefix):
                continue
            by_language = self.counts.setdefault(name.removeprefix(self.prefix), {})
            for row in np.flatnonzero(values).tolist():
                key = languages[row] or NO_LANGUAGE
                by_language[key] = by_language.get(key, 0) + int(values[row])


def summed(counts: Iterable[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    """The sums of counts by two keys, sorted; what is zero is left out."""
    total: dict[str, dict[str, int]] = {}
    for count in counts:
        for name, by_key in count.items():
            sums = total.setdefault(name, {})
            for key, number in by_key.items():
                sums[key] = sums.get(key, 0) + number
    return {name: dict(sorted(sums.items())) for name, sums in sorted(total.items()) if sums}


class GroupCounts(TypedDict):
    """The documents of one source in one language, which share no row with others; `rows` once they are written."""

    source: str
    language: str
    documents: int
    tokens: int
    rows: NotRequired[int]


class MixtureCounts(TypedDict):
    """Training rows of one source in one language, and how many times one of them was read."""

    source: str
    language: str
    rows: int
    read: int


class SplitCounts(TypedDict):
    """Training or held-out documents after packing, in all and by language.

    `groups`, in the order of their rows, where rows are apart by source and language; `truncated`: documents that lie
    in several rows, where they are packed by best fit.
    """

    documents: int
    tokens: int
    bytes: int
    rows: int
    languages: ByLanguage
    groups: NotRequired[list[GroupCounts]]
    truncated: NotRequired[int]


Measures = dict[str, int]
"""Whole numbers by name: documents, bytes and characters of text; after `pack` also tokens."""


class SourceCounts(TypedDict):
    """Of one source: measures by language, and documents by the licence that they state themselves."""

    languages: dict[str, Measures]
    licences: dict[str, int]


BySource = dict[str, SourceCounts]


DroppedBy = dict[str, dict[str, dict[str, int]]]
"""Reason → "languages" or "sources" → name → dropped documents. Both sum to the documents dropped for the reason."""


class RecordCounts(TypedDict):
    """The records of the raw files of a source; those that are no documents, by reason."""

    records: int
    quarantined: dict[str, int]
    skipped: dict[str, int]


# "in" is a keyword of the language, so these names cannot be written as a class
RowCounts = TypedDict(
    "RowCounts",
    {"in": int, "out": int, "dropped": dict[str, int], "quarantined": int},
    total=False,
)


class StageCounts(RowCounts, total=False):
    """Each stage sets the counts that it has; for documents, in = out + dropped + quarantined.

    The tasks of `evaluate` add counts of their own names, all whole numbers.
    """

    # every stage that makes documents: what it wrote; pack: what it encoded
    sources: BySource
    # every stage that drops documents
    dropped_by: DroppedBy
    # ingest
    records_by_source: dict[str, RecordCounts]
    reasons: dict[str, int]
    raw_files: int
    raw_bytes: int
    fields_left_out: int
    # documents that are known to be cut, by what says so; absent if there is none
    truncated: dict[str, int]
    # ingest, clean: documents by language; pretrain: training tokens by language
    languages: dict[str, int]
    languages_in: dict[str, int]
    # signals, clean
    changed: dict[str, int]
    # signals: documents whose tag identification replaced, "en → fr"
    retagged: dict[str, int]
    failed: dict[str, int]
    skipped: dict[str, dict[str, int]]
    text_bytes: int
    text_bytes_in: int
    # signals: matches by kind of personal data and language
    pii: dict[str, dict[str, int]]
    # decontaminate, by evaluation task: items and what was found of them; contaminated documents by language
    contamination: dict[str, dict[str, int]]
    contaminated_languages: dict[str, dict[str, int]]
    # annotate: documents without a score, by language
    unscored: dict[str, int]
    # passages, by finder: passages, documents and characters removed; passages by source
    passages: dict[str, dict[str, int]]
    passage_sources: dict[str, dict[str, int]]
    # embed: documents without a vector, by language; semantic: clusters, their sizes and pairs; copies by cosine
    without_vector: dict[str, int]
    clusters: dict[str, int]
    copies_by_similarity: dict[str, int]
    # dedupe, semantic
    bytes_in: int
    bytes_out: int
    # tokenizer
    sampled: int
    # pack
    splits: dict[str, SplitCounts]
    # pack, count, pretrain
    tokens: int
    words: int
    vocabulary: int
    cells: int
    steps: int
    rows: int
    batch_rows: int
    parameters: int
    mixture: list[MixtureCounts]
    skipped_steps: int
    skipped_rows: int
    # export
    formats: int
