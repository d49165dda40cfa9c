"""The documents that are compared with the reference depend only on their ids."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

from pipeline.tokenizers import verification_sample


def ids(count: int) -> list[str]:
    return [hashlib.sha256(str(at).encode()).hexdigest()[:32] for at in range(count)]


def selected(files: list[list[str]], mean_bytes: float) -> set[str]:
    """The documents that are selected when the corpus lies in these files."""
    none = np.empty(0, np.int64)
    numbers = [number for file in files for number in verification_sample.smallest(pa.array(file), none).tolist()]
    limit = verification_sample.threshold(numbers, mean_bytes)
    selections = [
        pa.array(file).filter(pa.array(verification_sample.selected(pa.array(file), limit))) for file in files
    ]
    return {name for names in selections for name in names.to_pylist()}


def test_the_same_documents_are_selected_whatever_files_they_lie_in() -> None:
    names = ids(3_000)
    selection = selected([names], 500)
    assert selected([names[:7], names[7:1_000], names[1_000:]], 500) == selection
    assert selected([names[::-1]], 500) == selection
    assert len(selection) == verification_sample.LEAST_DOCUMENTS


def test_a_small_corpus_is_compared_as_a_whole() -> None:
    assert selected([ids(20), ids(30)[20:]], 500) == set(ids(30))


def test_few_documents_are_compared_where_they_are_large() -> None:
    assert len(selected([ids(200)], verification_sample.LEAST_BYTES / 3)) == 3
    assert len(selected([ids(200)], 100 * verification_sample.LEAST_BYTES)) == 1


def test_one_document_in_a_thousand_is_compared_in_a_large_corpus() -> None:
    assert 250 < len(selected([ids(300_000)], 2_000)) < 350


def test_numbers_are_kept_from_batch_to_batch() -> None:
    names, kept = ids(400), np.empty(0, np.int64)
    for first in range(0, 400, 100):
        kept = verification_sample.smallest(pa.array(names[first : first + 100]), kept)
    assert kept.tolist() == verification_sample.smallest(pa.array(names), np.empty(0, np.int64)).tolist()
