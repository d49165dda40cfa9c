"""word_vectors: weighted means of the vectors of words of a word2vec or GloVe model of another run.

Weighted vectors are rounded to whole numbers once, so the sum over a document has the same bits in any order.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.core.numerics import ScoreNumerics
from training.embedding.base import DocumentVectors, Embedder
from training.embedding.models_section import MeanOfWords

FRACTION = 1 << 20  # of 1, the unit of a weighted vector


class WordEmbedder(Embedder):
    """See the module. `table[id]`: the weighted vector of a token, zeros where it is no word."""

    options: MeanOfWords
    table: npt.NDArray[np.int64]

    def load(self, folder: Path, model: Path | None) -> None:
        from pipeline.tokenizers import reference_encoder
        from training.evaluation.word_vectors import trained_vectors
        from training.models.saved import load

        assert model is not None
        tokenizer = model / "tokenizer.json"
        self.encoder = reference_encoder.load(tokenizer)
        vectors, vocabulary, counts = trained_vectors(load(model), tokenizer)
        matrix = vectors.double().cpu().numpy()
        frequencies = np.array(counts or [0] * len(matrix), np.float64)
        frequencies /= max(1.0, frequencies.sum())
        weights = self.options.weight / (self.options.weight + frequencies)
        # of length 1 first: the long vectors are those of rare words, which carry noise
        matrix /= np.maximum(np.sqrt(np.square(matrix).sum(axis=1, keepdims=True)), 1e-30)
        self.table = np.zeros((self.encoder.vocabulary, matrix.shape[1]), np.int64)
        self.table[list(vocabulary.ids)] = np.rint(matrix * weights[:, None] * FRACTION)

    def numerics(self) -> ScoreNumerics | None:
        return None

    def vectors(self, documents: pa.Table) -> DocumentVectors:
        encoded = self.encoder.encode(documents["text"].combine_chunks())
        matrix = np.zeros((documents.num_rows, self.table.shape[1]), np.int64)
        offsets = encoded.offsets.tolist()
        for row, (first, last) in enumerate(zip(offsets[:-1], offsets[1:], strict=True)):
            matrix[row] = self.table[encoded.ids[first:last]].sum(axis=0)
        return matrix
