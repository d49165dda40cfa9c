"""bloomery: vectors of texts of a model of another run, as the objective contrastive and `evaluate` have them.

torch is loaded by `load`, in the processes that embed. Cost: a pass in fp32 over at most 16 windows of the context.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pipeline.core.numerics import ScoreNumerics
from training.embedding.base import DocumentVectors, Embedder
from training.embedding.models_section import BloomeryVectors

if TYPE_CHECKING:
    from torch import device

    from training.models.base import Model


class BloomeryEmbedder(Embedder):
    """See the module."""

    options: BloomeryVectors
    model: Model
    tokenizer: Path
    where: device

    def load(self, folder: Path, model: Path | None) -> None:
        import torch

        from training.engines.device import device
        from training.models.saved import load

        assert model is not None
        torch.set_num_threads(self.threads)
        self.where = device()
        self.tokenizer = model / "tokenizer.json"
        self.model = load(model, device=self.where)

    def numerics(self) -> ScoreNumerics:
        import torch

        from training.engines.device import describe

        return {
            "device": describe(self.where), "precision": "fp32", "threads": self.threads, "torch": torch.__version__,
        }  # fmt: skip

    def vectors(self, documents: pa.Table) -> DocumentVectors:
        from training.evaluation.sentence_vectors import sentence_vectors

        texts = documents["text"].to_pylist()
        blank = np.array([not text.strip() for text in texts], np.bool_)
        matrix = sentence_vectors(self.model, self.tokenizer, texts).double().numpy()
        matrix[blank] = 0.0
        return matrix
