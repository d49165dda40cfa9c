"""Held-out loss in nats a token, perplexity, and bits per byte beside those of `xz -9`; overall and by language.

Every row is scored once, as it was packed: a token is predicted from those before it in its row, the first token of a
row from nothing and so not at all. The loss of every predicted token, end-of-text included, is divided by the bytes
those tokens spell: the only figure that compares vocabularies and languages. Cost: one forward pass in fp32.
A model that fills gaps is asked otherwise, and its figures are called otherwise (pseudo.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pipeline.core.errors import StageFailed
from training.evaluation import pseudo
from training.evaluation.base import Finding, Piece, Score, Subject, Task
from training.evaluation.held_out import HeldOut, Row
from training.evaluation.ratio import interval, ratio
from training.evaluation.xz import bits_per_byte
from training.models.base import Model

# a batch is always the same rows: another batch is another order of sums
BATCH_TOKENS = 2048
# a piece takes a small model seconds on a core; a large corpus is cut in no more than MOST_PIECES
PIECE_TOKENS = 32_768
MOST_PIECES = 64


class Perplexity(Task):
    """See the module."""

    name = "perplexity"

    def cut(self, held_out: HeldOut) -> list[Piece]:
        rows = held_out.row_count
        batch = max(1, BATCH_TOKENS // held_out.length)
        least = max(PIECE_TOKENS // held_out.length, math.ceil(rows / MOST_PIECES), 1)
        step = math.ceil(least / batch) * batch
        pieces = [{"start": at, "stop": min(at + step, rows), "batch": batch} for at in range(0, rows, step)]
        return [{"xz": True}, *pieces]

    def work(self, piece: Piece, subject: Subject) -> Any:
        """For each row, the loss of each document's span in it; or the text through xz, by language."""
        if "xz" in piece:
            return _xz(subject.held_out)
        if pseudo.fills_gaps(subject.model):
            return pseudo.work(piece, subject)
        rows = subject.held_out.rows(piece["start"], piece["stop"])
        found = []
        while batch := list(islice(rows, piece["batch"])):
            losses = token_losses(subject.model, batch)
            found += [span_losses(row, values) for row, values in zip(batch, losses, strict=True)]
        return found

    def merge(self, held_out: HeldOut, results: list[Any]) -> Finding:
        if isinstance(results[1], dict):
            return self._merge_pseudo(held_out, results)
        spans = iter([loss for rows in results[1:] for row in rows for loss in row])
        documents = [
            _Scored(
                held_out.language_of[document.id], math.fsum(islice(spans, document.spans)),
                document.predicted_tokens, document.predicted_bytes,
            )
            for document in held_out.documents()
        ]  # fmt: skip
        scores: list[Score] = []
        for language, xz_bits in results[0]:
            scores += _scores([one for one in documents if language in (None, one.language)], language)
            scores.append(Score("perplexity", "xz_bits_per_byte", xz_bits, None, _count(documents, language), language))
        counts = {
            "documents": len(documents),
            "predicted_tokens": sum(document.tokens for document in documents),
            "predicted_bytes": sum(document.bytes for document in documents),
        }
        return Finding(scores, counts=counts)

    def _merge_pseudo(self, held_out: HeldOut, results: list[Any]) -> Finding:
        asked, found = pseudo.documents(held_out, results[1:]), list[Score]()
        for language, xz_bits in results[0]:
            found += pseudo.scores(asked, language)
            items = sum(language in (None, one.language) for one in asked)
            found.append(Score("perplexity", "xz_bits_per_byte", xz_bits, None, items, language))
        counts = {
            "documents": len(asked),
            "predicted_tokens": sum(one.tokens for one in asked),
            "predicted_bytes": sum(one.bytes for one in asked),
        }
        return Finding(found, counts=counts)


def token_losses(model: Model, batch: Sequence[Row]) -> list[NDArray[np.float64]]:
    """The loss of each token of each row in nats; 0 for the first, which nothing predicts."""
    longest = max(len(row.tokens) for row in batch)
    # what lies behind a short row's end is never looked at: attention is causal and its loss is not read
    tokens = torch.zeros(len(batch), longest, dtype=torch.long)
    for at, row in enumerate(batch):
        tokens[at, : len(row.tokens)] = torch.from_numpy(row.tokens)
    with torch.inference_mode():
        logits = model.logits(tokens.to(next(model.parameters()).device))
        # a row at a time: the softmax of a whole batch would be a second copy of its logits
        return [_row_losses(logits[at], tokens[at], len(row.tokens)) for at, row in enumerate(batch)]


def _row_losses(logits: Tensor, tokens: Tensor, length: int) -> NDArray[np.float64]:
    # logits: T, V; tokens: T
    losses = np.zeros(length, np.float64)
    if length > 1:
        targets = tokens[1:length].to(logits.device)
        losses[1:] = F.cross_entropy(logits[: length - 1], targets, reduction="none").cpu().double().numpy()
    if not np.isfinite(losses).all():
        raise StageFailed(
            "evaluate: the model's loss on held-out text is not a finite number: its weights diverged. "
            "Train it again with a lower optimizer.lr, or with clip."
        )
    return losses


def span_losses(row: Row, losses: NDArray[np.float64]) -> list[float]:
    """The loss of each document's span in a row, rounded once."""
    return [math.fsum(losses[start:end].tolist()) for _, start, end in row.spans]


@dataclass(frozen=True)
class _Scored:
    language: str
    loss: float
    tokens: int
    bytes: int


def _xz(held_out: HeldOut) -> list[tuple[str | None, float]]:
    """All the text and each language by itself, one after the other: one compressor's memory at a time."""
    languages = sorted(set(held_out.language_of.values()))
    whole = bits_per_byte(document.text for document in held_out.documents())
    if len(languages) == 1:
        return [(None, whole), (languages[0], whole)]
    parts = [(one, bits_per_byte(held_out.texts_in(one))) for one in languages]
    return [(None, whole), *parts]


def _count(documents: Sequence[_Scored], language: str | None) -> int:
    return sum(language in (None, one.language) for one in documents)


def _scores(documents: Sequence[_Scored], language: str | None) -> Iterator[Score]:
    """The model's figures on some documents; none where nothing was predicted."""
    scored = [document for document in documents if document.tokens]
    losses, bits = [one.loss for one in scored], [one.loss / math.log(2) for one in scored]
    tokens, sizes = [float(one.tokens) for one in scored], [float(one.bytes) for one in scored]

    def score(metric: str, value: float, between: tuple[float, float] | None) -> Score:
        return Score("perplexity", metric, value, between, len(scored), language)

    if scored:
        loss, around = ratio(losses, tokens), interval(losses, tokens)
        yield score("loss", loss, around)
        yield score("perplexity", math.exp(loss), around and (math.exp(around[0]), math.exp(around[1])))
    if sum(sizes):
        yield score("bits_per_byte", ratio(bits, sizes), interval(bits, sizes))
