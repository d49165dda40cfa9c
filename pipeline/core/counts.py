"""The counts of a stage, as stored in manifest.json and shown in the report."""

from __future__ import annotations

from typing import TypedDict

ByLanguage = dict[str, dict[str, int]]


class SplitCounts(TypedDict):
    """Training or held-out documents after packing, in all and by language."""

    documents: int
    tokens: int
    bytes: int
    rows: int
    languages: ByLanguage


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

    # ingest
    reasons: dict[str, int]
    raw_files: int
    raw_bytes: int
    fields_left_out: int
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
    # dedupe
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
    # export
    formats: int
