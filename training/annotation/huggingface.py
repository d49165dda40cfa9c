"""Models of a local folder of `transformers` that read documents: a sequence classifier, and vectors of texts.

fp32, in batches of windows of one length, so that no padding enters a score. Cost: one forward pass over each window.
torch and transformers are loaded by `load`, in the processes that score, and not by the stage.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa

from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject
from pipeline.core.numerics import ScoreNumerics
from pipeline.core.shards import ShardWriter, batches
from training.annotation import huggingface_section as section
from training.annotation.base import DocumentModel, Floats, Scorer, not_finite
from training.annotation.equal_lengths import equal_length_batches, weighted_means
from training.annotation.text_sets import TEXTS, TextReader

if TYPE_CHECKING:
    from torch import Tensor

    from training.annotation.huggingface_model import TokenWindow, WindowModel

BATCH_TOKENS = 4096  # of a batch: a small model's states stay in the caches, a large one fills a GPU
MOST_NEAR = 10_000  # texts of `near`; every process embeds them


class FolderModel(DocumentModel):
    """The base of all: texts are cut into windows, windows of one length go through the model together."""

    options: section.ModelFolder
    model: WindowModel

    def load(self, folder: Path, model: Path | None) -> None:
        from training.annotation.huggingface_model import WindowModel

        assert model is not None
        self.model = WindowModel(model, self.options, threads=self.threads)

    def numerics(self) -> ScoreNumerics:
        return self.model.numerics()

    @abstractmethod
    def window_values(self, tokens: Tensor) -> Tensor:
        """What the model says of windows of one length, B, T: a row for each."""

    def _values(self, windows: Sequence[TokenWindow]) -> list[Floats]:
        """What the model says of each window, in their order."""
        values: list[Floats] = [np.empty(0)] * len(windows)
        for batch in equal_length_batches([len(window.tokens) for window in windows], BATCH_TOKENS):
            rows = self.model.run([windows[at].tokens for at in batch.tolist()], self.window_values)
            for at, row in zip(batch.tolist(), rows, strict=True):
                values[at] = row
        return values


class SequenceClassifier(FolderModel, Scorer):
    """The output of a model with one, or the probability of a label; of several windows, the mean by tokens."""

    options: section.FolderClassifier

    def load(self, folder: Path, model: Path | None) -> None:
        super().load(folder, model)
        self.model.open_classifier()

    def score(self, documents: pa.Table) -> Floats:
        windows = self.model.windows(documents["text"].to_pylist())
        values = [float(value) for [value] in self._values(windows)]
        _require_finite(values, windows, documents)
        weights = [float(window.size) for window in windows]
        return weighted_means(values, weights, [window.document for window in windows], documents.num_rows)

    def window_values(self, tokens: Tensor) -> Tensor:
        return self.model.label_scores(tokens, self.options.label)


class WindowVectors(FolderModel):
    """The base of models that use vectors of texts. `STAGE`: which stage runs it, for messages."""

    options: section.FolderPooling
    STAGE: ClassVar[str] = "annotate"

    def load(self, folder: Path, model: Path | None) -> None:
        super().load(folder, model)
        self.model.open_embedding()

    def window_values(self, tokens: Tensor) -> Tensor:
        return self.model.pooled(tokens, self.options.pooling)

    def text_vectors(self, texts: Sequence[str], ids: Sequence[str] = ()) -> Floats:
        """The vectors of texts, of length 1; NaN for one without a token."""
        windows = self.model.windows(texts)
        values = self._values(windows)
        vectors = np.full((len(texts), self.model.width), np.nan)
        for window, value in zip(windows, values, strict=True):
            if not np.isfinite(value).all():
                name = ids[window.document] if ids else f"{window.document} of near"
                raise not_finite(name, "a vector", stage=self.STAGE)
            total = vectors[window.document]
            vectors[window.document] = value * window.size + (0.0 if np.isnan(total).any() else total)
        return normalized(vectors)


class EmbeddingSimilarity(WindowVectors, Scorer):
    """The cosine to the mean of the texts that the user names."""

    options: section.FolderEmbedding

    def prepare(self, texts: Mapping[str, TextReader], folder: Path) -> JsonObject:
        """Keep the texts for the processes: they have the model."""
        rows = 0
        with ShardWriter(folder, "near", "texts", TEXTS) as writer:
            for batch in texts["near"].batches():
                writer.write(batch)
                rows += batch.num_rows
        if rows > MOST_NEAR:
            raise StageFailed(
                f"annotate: near has {rows:,} texts; every process embeds them. Name {MOST_NEAR:,} at most."
            )
        return {"near": rows}

    def load(self, folder: Path, model: Path | None) -> None:
        super().load(folder, model)
        vectors = [self.text_vectors(table["text"].to_pylist()) for path in sorted((folder / "near").iterdir())
                   for table in batches(path)]  # fmt: skip
        known = np.concatenate(vectors)
        known = known[~np.isnan(known).any(axis=1)]
        if not len(known):
            raise StageFailed("annotate: no text of near has a token that the model knows.")
        self.centre = normalized(known.mean(axis=0, keepdims=True))[0]

    def score(self, documents: pa.Table) -> Floats:
        vectors = self.text_vectors(documents["text"].to_pylist(), documents["id"].to_pylist())
        # a product and a sum by row: a matrix product may take another order for another number of rows
        return np.asarray((vectors * self.centre).sum(axis=1), np.float64)


def normalized(vectors: Floats) -> Floats:
    """Rows of length 1; a row of zeros has no direction, and is NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(vectors / np.sqrt((vectors * vectors).sum(axis=1, keepdims=True)), np.float64)


def _require_finite(values: Sequence[float], windows: Sequence[TokenWindow], documents: pa.Table) -> None:
    for value, window in zip(values, windows, strict=True):
        if not np.isfinite(value):
            raise not_finite(documents["id"][window.document].as_py())
