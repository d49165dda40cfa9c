"""Unusual input of the variants; their values are tested in test_ngrams.py."""

from __future__ import annotations

import pyarrow as pa

from pipeline.kernels.repetition_variants import repetition_variants


def test_texts_shorter_than_an_ngram_have_none() -> None:
    variants = repetition_variants(pa.array(["", "a b", "中"], pa.large_string()), 5)
    assert variants["every"].tolist() == variants["later"].tolist() == variants["skipping"].tolist() == [0, 0, 0]
    assert variants["unit_characters"].tolist() == [0, 2, 1]


def test_an_empty_column_gives_empty_columns() -> None:
    assert len(repetition_variants(pa.array([], pa.large_string()), 5)["every"]) == 0
