"""The base classes of models that read documents: of any, and of those that give each document of a batch a number.

The stages `annotate` and `embed` call `prepare` once, in their own process, then `load` and `column` in processes on
any machine. What a model says of a document must not depend on the other documents of its batch, or only in its last
bits and only where the division into tasks fixes the batches: it follows from the files of documents and never from the
number of workers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.core.config import Section
from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject
from pipeline.core.numerics import ScoreNumerics
from training.annotation.text_sets import TextReader

Floats = npt.NDArray[np.float64]
Unread = npt.NDArray[np.bool_]
"""For each document, whether the model found nothing in it that it reads."""


class DocumentModel(ABC):
    """The base of every model of documents. `options` is its section; `seed` is 0 unless the section is `SEEDED`.

    `threads`: how many the libraries of a process may use, set before `load`.
    """

    threads: int = 1

    def __init__(self, options: Section, seed: int) -> None:
        self.options, self.seed = options, seed

    def prepare(self, texts: Mapping[str, TextReader], folder: Path) -> JsonObject:
        """Learn from the sets of texts, by option, and write files below `folder`, which every process gets.

        Runs once, in the process of the stage, which has no GPU and should load no torch. Returns figures for the
        report (numbers by name, nested if need be); they may depend on nothing but options, seed and texts.
        """
        return {}

    def load(self, folder: Path, model: Path | None) -> None:
        """Once in each process: open what `prepare` wrote, under the same names below `folder` on any machine. The
        folder is gone afterwards; what is open, or mapped into memory, stays.

        `model`: the local folder of the model that `FOLDER` or `ARTIFACT` of the section names.
        """
        return

    @abstractmethod
    def column(self, documents: pa.Table) -> tuple[pa.Array, Unread]:
        """A value for each document, and for which the model found nothing to read; they are counted.

        `documents` has id, text (large_string) and language (null: not known).
        """

    def numerics(self) -> ScoreNumerics | None:
        """What decides the last bits of the values; None if they are the same on every machine. After `load`."""
        return None


class Scorer(DocumentModel):
    """The base of every annotation model: a number for each document."""

    @abstractmethod
    def score(self, documents: pa.Table) -> Floats:
        """A score for each document; `documents` has id, text (large_string) and language (null: not known).

        NaN: the document has nothing to score, such as a text without a word; it is counted. A model whose own result
        is not a finite number calls `not_finite`.
        """

    def column(self, documents: pa.Table) -> tuple[pa.Array, Unread]:
        """The scores, if there is one for each document and none is infinite."""
        scores = np.asarray(self.score(documents), np.float64)
        if scores.shape != (documents.num_rows,):
            raise StageFailed(
                f"annotate: the model returned scores of the shape {scores.shape} for {documents.num_rows} documents."
            )
        infinite = np.flatnonzero(np.isinf(scores))
        if len(infinite):
            document_id = documents["id"][int(infinite[0])].as_py()
            raise StageFailed(f"annotate: the score of document {document_id} is infinite. Return a number, or NaN.")
        return pa.array(scores), np.isnan(scores)


def not_finite(document_id: str, what: str = "a score", *, stage: str = "annotate") -> StageFailed:
    """The error for a result that is no finite number."""
    return StageFailed(
        f"{stage}: the model gives document {document_id} {what} that is not a finite number: its weights or its "
        "arithmetic overflowed. Use another model, or leave the entry out."
    )
