"""transformers: vectors of a model in a local folder, the means over the windows of a document by tokens."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa

from training.annotation.huggingface import WindowVectors
from training.embedding.base import DocumentVectors, Embedder


class FolderEmbedder(WindowVectors, Embedder):
    """See `training.annotation.huggingface`."""

    STAGE: ClassVar[str] = "embed"

    def vectors(self, documents: pa.Table) -> DocumentVectors:
        return self.text_vectors(documents["text"].to_pylist(), documents["id"].to_pylist())
