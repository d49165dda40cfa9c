"""Vectors of documents: whole numbers of one length, alike where the wording is, in two languages."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipeline.core.errors import StageFailed
from pipeline.kernels.vectors import ONE, SCALE
from training.annotation.options import ScorerOptions
from training.embedding.base import DocumentVectors, Embedder
from training.embedding.hashed import HashedEmbedder
from training.embedding.models_section import HashedVectors

ENGLISH = "The quiet river carries a letter past the old station, and nobody on the bridge looks down at it."
CHINESE = "安静的河流带着一封信经过古老的车站，桥上没有一个人低头看它。"
OTHER = "Prices of copper rose again on Tuesday after two mines in the south had closed for repairs this week."


def documents(*texts: str) -> pa.Table:
    return pa.table(
        {"id": [str(at) for at in range(len(texts))], "text": pa.array(texts, pa.large_string()),
         "language": pa.nulls(len(texts), pa.string())}
    )  # fmt: skip


def hashed(*texts: str, **options: int) -> tuple[np.ndarray, list[bool]]:
    values, missing = HashedEmbedder(HashedVectors(**options), 0).column(documents(*texts))
    return values.flatten().to_numpy().reshape(len(texts), -1).astype(np.int64), missing.tolist()


@pytest.mark.parametrize("text", [ENGLISH, CHINESE])
def test_a_changed_text_is_near_and_another_is_not(text: str) -> None:
    vectors, missing = hashed(text, text[: len(text) * 4 // 5], OTHER)
    assert not any(missing)
    near, far = int(vectors[0] @ vectors[1]) / ONE, int(vectors[0] @ vectors[2]) / ONE
    assert near > 0.8 and abs(far) < 0.25
    assert np.abs(np.sqrt((vectors**2).sum(1)) / SCALE - 1).max() < 1e-3


def test_a_text_with_too_few_ngrams_has_no_vector() -> None:
    vectors, missing = hashed("", "…!", "One short line.", "短句。", ENGLISH)
    assert missing == [True, True, True, True, False]
    assert not vectors[:4].any()


def test_a_vector_depends_on_its_text_alone() -> None:
    alone, _ = hashed(CHINESE, width=64, ngrams=3)
    beside, _ = hashed("", ENGLISH, CHINESE, width=64, ngrams=3)
    assert alone[0].tolist() == beside[2].tolist() and len(alone[0]) == 64


class Fixed(Embedder):
    """Returns what it is given."""

    matrix: DocumentVectors = np.ones((1, 2))

    def vectors(self, documents: pa.Table) -> DocumentVectors:
        return self.matrix


@pytest.mark.parametrize(
    ("matrix", "message"), [(np.ones(3), "shape"), (np.ones((2, 2)), "shape"), (np.array([[np.inf, 0]]), "infinite")]
)
def test_wrong_vectors_are_an_error(matrix: np.ndarray, message: str) -> None:
    model = Fixed(ScorerOptions(), 0)
    model.matrix = matrix
    with pytest.raises(StageFailed, match=message):
        model.column(documents(ENGLISH))
