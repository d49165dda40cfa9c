"""The bits per byte of documents under a Bloomery model: the losses of `evaluate` over the bytes of the own text.

A document is read behind an end of text, as in training, in windows of the model's context; every token of a window
is predicted from those before it in the window, the first one from the end of text or the last token of the window
before. The end of text of a document that is read whole counts. Text that the tokenizer loses is charged as in
`evaluate` (own_text.py), so figures of tokenizers and languages compare. Cost: a forward pass in fp32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from pipeline.core.numerics import ScoreNumerics
from training.annotation.base import Floats, Scorer, not_finite
from training.annotation.bloomery_section import BloomeryModel
from training.annotation.equal_lengths import equal_length_batches

if TYPE_CHECKING:
    from torch import device

    from training.models.base import Model

BATCH_TOKENS = 2048  # as in evaluation/perplexity.py
TokenRow: TypeAlias = np.ndarray


class ModelWindow(NamedTuple):
    """A row of a document: its place in the list, and its tokens, of which all but the first are predicted."""

    document: int
    tokens: TokenRow


class BitsPerByte(Scorer):
    """See the module."""

    options: BloomeryModel
    model: Model
    where: device

    def load(self, folder: Path, model: Path | None) -> None:
        import torch

        from pipeline.tokenizers import reference_encoder, token_bytes
        from pipeline.tokenizers.normalization import load_normalizer
        from training.engines.device import device
        from training.models.saved import load

        assert model is not None
        torch.set_num_threads(self.threads)
        tokenizer = model / "tokenizer.json"
        self.where = device()
        self.model = load(model, device=self.where)
        self.encoder = reference_encoder.load(tokenizer)
        self.bytes = token_bytes.load(tokenizer)
        self.sizes, self.visible_sizes = self.bytes.sizes, self.bytes.visible_sizes
        self.fold = None if self.bytes.exact else load_normalizer(tokenizer)

    def numerics(self) -> ScoreNumerics:
        import torch

        from training.engines.device import describe

        return {
            "device": describe(self.where), "precision": "fp32", "threads": self.threads, "torch": torch.__version__,
        }  # fmt: skip

    def score(self, documents: pa.Table) -> Floats:
        texts = documents["text"].to_pylist()
        encoded = self.encoder.encode(documents["text"].combine_chunks())
        tokens = [
            encoded.ids[first:last].astype(np.int64)
            for first, last in zip(encoded.offsets[:-1].tolist(), encoded.offsets[1:].tolist(), strict=True)
        ]
        windows = [window for at, ids in enumerate(tokens) for window in self._windows(at, ids)]
        losses = self._losses(windows)
        nats, predicted = np.zeros(len(texts)), np.zeros(len(texts), np.int64)
        for window, loss in zip(windows, losses, strict=True):
            nats[window.document] += loss
            predicted[window.document] += len(window.tokens) - 1
        if not np.isfinite(nats).all():
            raise not_finite(documents["id"][int(np.flatnonzero(~np.isfinite(nats))[0])].as_py())
        return np.array(
            [
                self._bits_per_byte(text, ids, int(n), float(loss))
                for text, ids, n, loss in zip(texts, tokens, predicted, nats, strict=True)
            ],
            np.float64,
        )

    def _windows(self, document: int, ids: TokenRow) -> list[ModelWindow]:
        """Rows of at most the context; each begins with the last token of the one before."""
        if not len(ids):
            return []
        end = np.array([self.bytes.end_of_text], np.int64)
        row, step = np.concatenate([end, ids, end]), self.model.context - 1
        starts = range(0, len(row) - 1, step)
        kept = starts if self.options.windows is None else starts[: self.options.windows]
        return [ModelWindow(document, row[start : start + step + 1]) for start in kept]

    def _losses(self, windows: Sequence[ModelWindow]) -> list[float]:
        """The loss of each window in nats, in their order."""
        from training.evaluation.held_out import PackedRow
        from training.evaluation.perplexity import any_token_losses

        losses = [0.0] * len(windows)
        for batch in equal_length_batches([len(window.tokens) for window in windows], BATCH_TOKENS):
            rows = [PackedRow(windows[at].tokens, ()) for at in batch.tolist()]
            for at, values in zip(batch.tolist(), any_token_losses(self.model, rows), strict=True):
                losses[at] = math.fsum(values.tolist()) if np.isfinite(values).all() else math.inf
        return losses

    def _bits_per_byte(self, text: str, ids: TokenRow, predicted: int, nats: float) -> float:
        """Of what was predicted of a document; NaN where none of its bytes were."""
        from training.evaluation.held_out import HeldOutDocument
        from training.evaluation.own_text import OwnText, text_share, visible_bytes

        sizes = self.sizes[ids]
        document = HeldOutDocument(
            "", 1, b"", predicted, predicted_bytes=int(sizes[:predicted].sum()), spelled_bytes=int(sizes.sum()),
            visible_bytes=int(self.visible_sizes[ids].sum()),
        )  # fmt: skip
        own = None
        if self.fold is not None:
            own = OwnText(len(text.encode()), visible_bytes(self.fold(text)))
        share = text_share(own, document, document.predicted_bytes)
        return (nats + share.lost_nats) / math.log(2) / share.bytes if share.bytes else math.nan
