"""The held-out documents come out of the packed rows as they went in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.core.inputs import Inputs
from training.evaluation.held_out import UNKNOWN, HeldOut


@pytest.mark.parametrize("length", [2, 7, 32, 5000])
def test_documents_that_cross_rows_are_decoded_byte_for_byte(make_corpus: Callable[..., Any], length: int) -> None:
    corpus = make_corpus(8, length=length)
    held_out = HeldOut.of(corpus.inputs)
    assert [document.text for document in held_out.documents()] == [text.encode() for text, _ in corpus.held_out]


def test_every_token_but_the_first_of_each_row_is_predicted_once(corpus: Any) -> None:
    held_out = HeldOut.of(corpus.inputs)
    rows = list(held_out.rows())
    documents = list(held_out.documents())
    assert sum(document.predicted_tokens for document in documents) == sum(len(row.tokens) - 1 for row in rows)
    assert sum(document.spans for document in documents) == sum(len(row.spans) for row in rows)


def test_bytes_that_are_not_predicted_are_those_of_the_rows_first_tokens(corpus: Any) -> None:
    held_out = HeldOut.of(corpus.inputs)
    documents = list(held_out.documents())
    total = sum(len(document.text) for document in documents)
    firsts = [row.tokens[0] for row in held_out.rows()]
    unpredicted = sum(
        len(held_out.token_bytes.by_id[token]) for token in firsts if token != held_out.token_bytes.end_of_text
    )
    assert sum(document.predicted_bytes for document in documents) == total - unpredicted


def test_any_stretch_of_rows_is_the_same_as_a_slice_of_all(corpus: Any) -> None:
    held_out = HeldOut.of(corpus.inputs)
    rows = list(held_out.rows())
    assert len(rows) == held_out.row_count and held_out.length == corpus.length
    for start, stop in ((0, 3), (3, 9), (len(rows) - 1, len(rows)), (4, 4)):
        stretch = list(held_out.rows(start, stop))
        assert [row.spans for row in stretch] == [row.spans for row in rows[start:stop]]
        assert all((a.tokens == b.tokens).all() for a, b in zip(stretch, rows[start:stop], strict=True))


def test_a_document_has_the_language_of_its_column(corpus: Any) -> None:
    held_out = HeldOut.of(corpus.inputs)
    languages = [held_out.language_of[document.id] for document in held_out.documents()]
    assert languages == [language or UNKNOWN for _, language in corpus.held_out]
    without = HeldOut(held_out.row_files, (), held_out.tokenizer)
    assert set(without.language_of.values()) == {UNKNOWN}


def test_documents_in_several_artifacts_are_read_part_by_part(corpus: Any) -> None:
    documents = corpus.inputs.single("documents")
    parts = Inputs.of({**corpus.inputs.by_kind, "documents": [documents, documents]})
    assert HeldOut.of(parts).document_files == (*documents.files("parts/"), *documents.files("parts/"))
