"""hashed: vectors of hashed n-grams of units, without a model. The same bits on every machine."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.kernels import column
from pipeline.kernels.column import Offsets
from pipeline.kernels.hash_table import Hashes
from pipeline.kernels.vectors import project
from pipeline.text.unicode import tables
from training.embedding.base import DocumentVectors, Embedder
from training.embedding.models_section import LEAST_NGRAMS, HashedVectors


class HashedEmbedder(Embedder):
    """See the section."""

    options: HashedVectors

    def vectors(self, documents: pa.Table) -> DocumentVectors:
        offsets, hashes = column.shingle_hashes(documents["text"], self.options.ngrams, tables())
        sums = np.zeros((documents.num_rows, self.options.width), np.int64)
        offsets, hashes = _of_long_texts(offsets, hashes)
        project(hashes, offsets, sums)
        return sums


def _of_long_texts(offsets: Offsets, hashes: Hashes) -> tuple[Offsets, Hashes]:
    """Without the n-grams of documents that have fewer than LEAST_NGRAMS: few places may be shared by chance."""
    sizes = np.diff(offsets)
    enough = sizes >= LEAST_NGRAMS
    return np.append(0, np.cumsum(np.where(enough, sizes, 0))), hashes[np.repeat(enough, sizes)]
