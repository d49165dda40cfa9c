"""Held-out loss in nats per token, perplexity, and bits per byte beside those of `xz -9`; overall and by language.

Every row is scored once, as it was packed: a token is predicted from those before it in its row, and the first token
of a row is not predicted at all. The loss of every predicted token, end-of-text included, is divided by the bytes of
the documents' own text for which those tokens stand: the only figure that compares vocabularies and languages. Lost
text is charged (own_text.py). Cost: one forward pass in fp32.

A recurrent model reads the rows of an item one after another and continues from the state that each row left, as in
training; the item starts with a state of zeros. So it predicts the same tokens as every other model, from more than
their row. Items follow from the data alone, and so do the figures. A model that reads both ways is scored in each
direction by itself (`forward_*`, and `backward_*`: every token but the last of its row, from those after it). A masked
model is scored otherwise, and its metrics have other names (pseudo_perplexity.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TypedDict

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.evaluation import pseudo_perplexity
from training.evaluation.base import EvaluationTask, Score, Subject, TaskResult
from training.evaluation.held_out import HeldOut, PackedRow
from training.evaluation.losses import (
    DocumentLoss,
    TokenLosses,
    loss_scores,
    losses_by_document,
    require_finite,
    span_losses,
)
from training.evaluation.own_text import held_out_texts
from training.evaluation.pseudo_perplexity import RowRange, SampledSpan
from training.evaluation.xz import bits_per_byte
from training.models.base import Model
from training.models.bilstm import Bilstm
from training.objectives.causal import after_end_of_text

# a batch always has the same rows: another batch is another order of sums
BATCH_TOKENS = 2048
# an item takes a small model seconds on a core; a large corpus is split into no more than MAX_ITEMS
ITEM_TOKENS = 32_768
MAX_ITEMS = 64


class PerplexityItem(RowRange, total=False):
    """Rows to score in batches, or `xz`: the compression of the text."""

    batch: int
    xz: bool


class PerplexityResult(TypedDict, total=False):
    """Of an item: bits per byte of xz by language, or the losses of each row's spans, by direction.

    A masked model has `sampled` spans instead.
    """

    xz: list[tuple[str | None, float]]
    forward: list[list[float]]
    backward: list[list[float]]
    sampled: list[list[SampledSpan]]


class Perplexity(EvaluationTask[PerplexityItem, PerplexityResult]):
    """See the module."""

    name = "perplexity"

    def cut(self, held_out: HeldOut) -> list[PerplexityItem]:
        rows = held_out.row_count
        batch = max(1, BATCH_TOKENS // held_out.length)
        least_rows = max(ITEM_TOKENS // held_out.length, math.ceil(rows / MAX_ITEMS), 1)
        step = math.ceil(least_rows / batch) * batch
        items: list[PerplexityItem] = [{"xz": True}]
        items += [{"start": start, "stop": min(start + step, rows), "batch": batch} for start in range(0, rows, step)]
        return items

    def work(self, item: PerplexityItem, subject: Subject) -> PerplexityResult:
        """For each row, the loss of each document's span in it; or the compression of the text by xz, by language."""
        if "xz" in item:
            return {"xz": _xz(subject.held_out)}
        if pseudo_perplexity.is_masked_model(subject.model):
            return {"sampled": pseudo_perplexity.sampled_spans(item, subject)}
        rows = subject.held_out.rows(item["start"], item["stop"])
        model = subject.model
        if isinstance(model, Bilstm):
            return _losses_both_ways(model, rows, item["batch"])
        cache = model.cache() if model.carries else None
        batch_rows = 1 if model.carries else item["batch"]
        forward: list[list[float]] = []
        while batch := list(islice(rows, batch_rows)):
            losses = token_losses(model, batch, cache)
            forward += [span_losses(row, values) for row, values in zip(batch, losses, strict=True)]
        return {"forward": forward}

    def merge(self, held_out: HeldOut, results: list[PerplexityResult]) -> TaskResult:
        compression, *row_results = results
        losses = _losses_by_prefix(held_out, row_results)
        documents = next(iter(losses.values()))
        scores: list[Score] = []
        for language, xz_bits in compression["xz"]:
            for prefix, document_losses in losses.items():
                scores += loss_scores(document_losses, language, prefix=prefix)
            items = sum(language in (None, document.language) for document in documents)
            scores.append(Score("perplexity", "xz_bits_per_byte", xz_bits, None, items, language))
        every_loss = [document for document_losses in losses.values() for document in document_losses]
        counts = {
            "documents": len(documents),
            "predicted_tokens": sum(document.tokens for document in every_loss),
            "predicted_bytes": round(sum(document.bytes for document in every_loss)),
        }
        return TaskResult(scores, counts=counts)


def _losses_by_prefix(held_out: HeldOut, results: list[PerplexityResult]) -> dict[str, list[DocumentLoss]]:
    """The loss of each document, by the prefix of the metrics: one for each way to read a row."""
    if "sampled" in results[0]:
        spans = [row for result in results for row in result["sampled"]]
        return {"pseudo_": pseudo_perplexity.losses_by_document(held_out, spans)}
    forward = losses_by_document(held_out, [row for result in results for row in result["forward"]])
    if "backward" not in results[0]:
        return {"": forward}
    backward_rows = [row for result in results for row in result["backward"]]
    return {
        "forward_": forward,
        "backward_": losses_by_document(held_out, backward_rows, unpredicted="last"),
    }


def token_losses(model: Model, batch: Sequence[PackedRow], cache: object = None) -> list[TokenLosses]:
    """The loss of each token of each row in nats; 0 for the first, which is not predicted. `cache`: what was read.

    Raises: StageFailed when one is infinite or NaN.
    """
    return [require_finite(losses) for losses in any_token_losses(model, batch, cache)]


def any_token_losses(model: Model, batch: Sequence[PackedRow], cache: object = None) -> list[TokenLosses]:
    """As `token_losses`, finite or not."""
    # what is behind a short row's end is never looked at: attention is causal and its loss is not read
    tokens, _ = _padded(batch)
    device = next(model.parameters()).device
    more = () if cache is None else (cache,)
    options = {}
    if model.document_mask:  # as in training: no token sees another document of its row
        starts = np.stack([row.document_starts(tokens.shape[1]) for row in batch])
        options = {"documents": torch.from_numpy(after_end_of_text(starts)).to(device)}
    with torch.inference_mode():
        logits = model.logits(tokens.to(device), *more, **options)
        # a row at a time: the softmax of a whole batch would be a second copy of its logits
        return [_row_losses(logits[at], torch.from_numpy(row.tokens)) for at, row in enumerate(batch)]


def _losses_both_ways(model: Bilstm, rows: Iterator[PackedRow], batch_rows: int) -> PerplexityResult:
    """The losses of the spans of rows that are read from both ends."""
    forward: list[list[float]] = []
    backward: list[list[float]] = []
    device = next(model.parameters()).device
    while batch := list(islice(rows, batch_rows)):
        tokens, lengths = _padded(batch)
        with torch.inference_mode():
            forward_logits, backward_logits = model.directions(tokens.to(device), lengths.to(device))
            for at, row in enumerate(batch):
                own, length = torch.from_numpy(row.tokens), len(row.tokens)
                forward.append(span_losses(row, require_finite(_row_losses(forward_logits[at], own))))
                reversed_losses = require_finite(_row_losses(backward_logits[at, :length].flip(0), own.flip(0)))
                backward.append(span_losses(row, reversed_losses[::-1]))
    return {"forward": forward, "backward": backward}


def _padded(batch: Sequence[PackedRow]) -> tuple[Tensor, Tensor]:
    """Tokens (B, T) and the length of each row (B)."""
    lengths = [len(row.tokens) for row in batch]
    tokens = torch.zeros(len(batch), max(lengths), dtype=torch.long)
    for at, row in enumerate(batch):
        tokens[at, : len(row.tokens)] = torch.from_numpy(row.tokens)
    return tokens, torch.tensor(lengths)


def _row_losses(logits: Tensor, tokens: Tensor) -> TokenLosses:
    # logits: T or more, V; tokens: T, each of which the logits before it predict
    losses = np.zeros(len(tokens), np.float64)
    if len(tokens) > 1:
        targets = tokens[1:].to(logits.device)
        losses[1:] = F.cross_entropy(logits[: len(targets)], targets, reduction="none").cpu().double().numpy()
    return losses


def _xz(held_out: HeldOut) -> list[tuple[str | None, float]]:
    """All the text, then each language by itself, one after the other: one compressor's memory at a time."""
    languages = sorted(set(held_out.language_of.values()))
    overall = bits_per_byte(held_out_texts(held_out))
    if len(languages) == 1:
        return [(None, overall), (languages[0], overall)]
    by_language = [(language, bits_per_byte(held_out_texts(held_out, language))) for language in languages]
    return [(None, overall), *by_language]
