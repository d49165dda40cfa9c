"""From the losses of tokens to figures: spans, documents, and scores by language, whichever way a model was asked."""

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
from training.evaluation.held_out import HeldOut, Row
from training.evaluation.own_text import own_texts, share
from training.evaluation.ratio import interval, ratio

Losses = NDArray[np.float64]
LARGEST = math.log(sys.float_info.max)


@dataclass(frozen=True)
class Scored:
    """What was predicted of one document: nats in all, and the tokens and bytes that they are the loss of.

    `lost`: nats charged beside them for bytes that no token spells (own_text.py), a part of bits per byte alone.
    """

    language: str
    loss: float
    tokens: int
    bytes: float
    lost: float = 0.0


def finite(losses: Losses) -> Losses:
    """The same losses.

    Raises: StageFailed when one of them is no number.
    """
    if not np.isfinite(losses).all():
        raise StageFailed(
            "evaluate: the model's loss on held-out text is not a finite number: its weights diverged. "
            "Train it again with a lower optimizer.lr, or with clip."
        )
    return losses


def span_losses(row: Row, losses: Losses) -> list[float]:
    """The loss of each document's span in a row, rounded once."""
    return [math.fsum(losses[start:end].tolist()) for _, start, end in row.spans]


def by_document(
    held_out: HeldOut, rows: Sequence[Sequence[float]], *, unpredicted: Literal["first", "last"] = "first"
) -> list[Scored]:
    """The losses of all rows' spans, put together by document; one token of every row was not predicted."""
    spans, own = iter([loss for row in rows for loss in row]), own_texts(held_out)
    scored = []
    for document in held_out.documents(unpredicted=unpredicted):
        loss, part = (
            math.fsum(islice(spans, document.spans)),
            share(own.get(document.id), document, document.predicted_bytes),
        )
        language = held_out.language_of[document.id]
        scored.append(Scored(language, loss, document.predicted_tokens, part.bytes, part.lost))
    return scored


def scores(documents: Sequence[Scored], language: str | None, *, prefix: str = "") -> Iterator[Score]:
    """The model's figures on the documents of a language, or on all; none where nothing was predicted."""
    scored = [one for one in documents if one.tokens and language in (None, one.language)]
    losses, bits = [one.loss for one in scored], [(one.loss + one.lost) / math.log(2) for one in scored]
    tokens, sizes = [float(one.tokens) for one in scored], [one.bytes for one in scored]

    def score(metric: str, value: float, between: tuple[float, float] | None) -> Score:
        return Score("perplexity", f"{prefix}{metric}", value, between, len(scored), language)

    if scored:
        loss, around = ratio(losses, tokens), interval(losses, tokens)
        yield score("loss", loss, around)
        yield score("perplexity", _exp(loss), around and (_exp(around[0]), _exp(around[1])))
    if sum(sizes):
        yield score("bits_per_byte", ratio(bits, sizes), interval(bits, sizes))


def _exp(loss: float) -> float:
    """e to the loss; infinite where a float ends (some 709 nats), which `Score` refuses."""
    return math.exp(loss) if loss < LARGEST else math.inf
