"""From the losses of tokens to scores: spans, documents, then figures by language, for every way to read a row."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import StageFailed
from training.evaluation.base import Score
from training.evaluation.held_out import HeldOut, PackedRow
from training.evaluation.own_text import own_texts, text_share
from training.evaluation.ratio import interval, ratio

TokenLosses = NDArray[np.float64]
LARGEST_LOSS = math.log(sys.float_info.max)


@dataclass(frozen=True)
class DocumentLoss:
    """What was predicted of one document: the loss in nats, and the tokens and bytes that it is the loss of.

    `lost_nats`: charged beside it for bytes that no token spells (own_text.py); it counts in bits per byte alone.
    """

    language: str
    loss: float
    tokens: int
    bytes: float
    lost_nats: float = 0.0


def require_finite(losses: TokenLosses) -> TokenLosses:
    """The same losses.

    Raises: StageFailed when one of them is infinite or NaN.
    """
    if not np.isfinite(losses).all():
        raise StageFailed(
            "evaluate: the model's loss on held-out text is not a finite number: its weights diverged. "
            "Train it again with a lower optimizer.lr, or with clip."
        )
    return losses


def span_losses(row: PackedRow, losses: TokenLosses) -> list[float]:
    """The loss of each document's span in a row, rounded once."""
    return [math.fsum(losses[start:end].tolist()) for _, start, end in row.spans]


def losses_by_document(
    held_out: HeldOut, rows: Sequence[Sequence[float]], *, unpredicted: Literal["first", "last"] = "first"
) -> list[DocumentLoss]:
    """The losses of the spans of all rows, summed by document; one token of every row was not predicted."""
    spans = iter([loss for row in rows for loss in row])
    own = own_texts(held_out)
    documents = []
    for document in held_out.documents(unpredicted=unpredicted):
        loss = math.fsum(islice(spans, document.spans))
        share = text_share(own.get(document.id), document, document.predicted_bytes)
        language = held_out.language_of[document.id]
        documents.append(DocumentLoss(language, loss, document.predicted_tokens, share.bytes, share.lost_nats))
    return documents


def loss_scores(documents: Sequence[DocumentLoss], language: str | None, *, prefix: str = "") -> Iterator[Score]:
    """The model's scores on the documents of a language, or on all; none where nothing was predicted."""
    scored = [document for document in documents if document.tokens and language in (None, document.language)]
    losses = [document.loss for document in scored]
    bits = [(document.loss + document.lost_nats) / math.log(2) for document in scored]
    tokens = [float(document.tokens) for document in scored]
    sizes = [document.bytes for document in scored]

    def score(metric: str, value: float, bounds: tuple[float, float] | None) -> Score:
        return Score("perplexity", f"{prefix}{metric}", value, bounds, len(scored), language)

    if scored:
        loss = ratio(losses, tokens)
        bounds = interval(losses, tokens)
        yield score("loss", loss, bounds)
        yield score("perplexity", _exp(loss), bounds and (_exp(bounds[0]), _exp(bounds[1])))
    if sum(sizes):
        yield score("bits_per_byte", ratio(bits, sizes), interval(bits, sizes))


def _exp(loss: float) -> float:
    """e to the loss; infinite beyond the largest float (some 709 nats), which `Score` refuses."""
    return math.exp(loss) if loss < LARGEST_LOSS else math.inf
