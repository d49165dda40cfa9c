"""The base class of models that give documents vectors; they are kept as whole numbers (kernels/vectors.py)."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.core.errors import StageFailed
from pipeline.kernels.vectors import to_unit
from training.annotation.base import DocumentModel, Unread

DocumentVectors = npt.NDArray[np.int64] | npt.NDArray[np.float64]


class Embedder(DocumentModel):
    """The base of every embedding model: a vector for each document, of the same width for all."""

    @abstractmethod
    def vectors(self, documents: pa.Table) -> DocumentVectors:
        """A row for each document, of any length; NaN or zeros: it has nothing that the model reads, and is counted."""

    def column(self, documents: pa.Table) -> tuple[pa.Array, Unread]:
        """The vectors as int16 of the length 16,384; zeros where a document has none."""
        matrix = self.vectors(documents)
        if matrix.ndim != 2 or len(matrix) != documents.num_rows or not matrix.shape[1]:
            raise StageFailed(
                f"embed: the model returned vectors of the shape {matrix.shape} for {documents.num_rows} documents."
            )
        infinite = np.flatnonzero(np.isinf(matrix).any(axis=1))
        if len(infinite):
            document_id = documents["id"][int(infinite[0])].as_py()
            raise StageFailed(f"embed: the vector of document {document_id} is infinite. Return numbers, or NaN.")
        unit, known = to_unit(matrix)
        flat = pa.array(unit.reshape(-1))
        # no nulls: Arrow does not read lists of a fixed size with nulls back from Parquet
        return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1]), ~known
