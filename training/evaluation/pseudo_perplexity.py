"""Pseudo-perplexity of masked models (Salazar et al. 2020, arXiv 1910.14659): each token is masked in turn, alone.

That is a pass over a row for every token, so a fixed sample is scored: every k-th token of the split, with k such that
no more than MAX_READ_TOKENS tokens are read. It compares masked models with each other, never with a causal one: a
masked token is predicted from both sides. Bits per byte refer to the share of each document's bytes that the sampled
tokens spell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from typing import TypeAlias, TypedDict

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.evaluation.base import Subject
from training.evaluation.held_out import HeldOut, PackedRow
from training.evaluation.losses import DocumentLoss, TokenLosses, require_finite
from training.evaluation.own_text import own_texts, text_share
from training.models.base import Model
from training.models.bert import Bert
from training.objectives import special_tokens

# tokens read over the whole split: seconds for a small model, and the same for any corpus
MAX_READ_TOKENS = 1 << 19
# tokens of a batch; always the same rows, because another batch is another order of sums
BATCH_TOKENS = 2048
# of a document's span in a row: the loss, the number and the bytes of its sampled tokens
SampledSpan: TypeAlias = tuple[float, int, int]


class RowRange(TypedDict, total=False):
    """The rows [start, stop)."""

    start: int
    stop: int


def is_masked_model(model: Model) -> bool:
    """Whether a model predicts masked tokens, not the next one."""
    return isinstance(model, Bert) or getattr(model.config, "head", None) == "masked"


def sample_step(held_out: HeldOut) -> int:
    """One token in so many is sampled. The step shares no factor with a row's length, so every place is sampled."""
    step = max(1, math.ceil(held_out.row_count * held_out.length**2 / MAX_READ_TOKENS))
    while math.gcd(step, held_out.length) > 1:
        step += 1
    return step


def sampled_spans(item: RowRange, subject: Subject) -> list[list[SampledSpan]]:
    """For each row, and each document's span in it: the loss, the number and the bytes of the sampled tokens."""
    held_out, step = subject.held_out, sample_step(subject.held_out)
    special, sizes = special_tokens.read(held_out.tokenizer), held_out.token_bytes.sizes
    rows = []
    for number, row in enumerate(held_out.rows(item["start"], item["stop"]), item["start"]):
        places = np.arange((-number * held_out.length) % step, len(row.tokens), step)
        places = places[~np.isin(row.tokens[places], special.special)]
        losses = np.zeros(len(row.tokens))
        losses[places] = _masked_losses(subject.model, row, places.tolist(), special)
        sampled = np.zeros(len(row.tokens), np.int64)
        sampled[places] = 1
        sampled_bytes = sizes[row.tokens] * sampled
        spans = [slice(start, end) for _, start, end in row.spans]
        rows.append(
            [
                (math.fsum(losses[span].tolist()), int(sampled[span].sum()), int(sampled_bytes[span].sum()))
                for span in spans
            ]
        )
    return rows


def _masked_losses(
    model: Model, row: PackedRow, places: list[int], special: special_tokens.SpecialTokens
) -> TokenLosses:
    """The loss of each of these tokens in nats, each masked alone among all others."""
    framed = torch.tensor([special.start, *row.tokens.tolist(), special.end])
    documents = _framed_documents(row) if model.document_mask else None
    batch_rows = max(1, BATCH_TOKENS // len(framed))
    losses: list[float] = []
    remaining = iter(places)
    while batch := list(islice(remaining, batch_rows)):
        masked = torch.tensor(batch) + 1
        tokens = framed.repeat(len(batch), 1)
        tokens[torch.arange(len(batch)), masked] = special.mask
        with torch.inference_mode():
            logits = logits_at(model, tokens, masked, documents)
            targets = framed[masked].to(logits.device)
            losses += F.cross_entropy(logits, targets, reduction="none").cpu().double().tolist()
    return require_finite(np.array(losses))


def _framed_documents(row: PackedRow) -> Tensor:
    """Where the document of each token of [CLS] row [SEP] begins: T, as objectives/masked.py has it in training."""
    starts = row.document_starts(len(row.tokens))
    framed = np.where(starts == 0, 0, starts + 1)
    return torch.from_numpy(np.concatenate([[0], framed, framed[-1:]]))


def logits_at(model: Model, tokens: Tensor, places: Tensor, documents: Tensor | None = None) -> Tensor:
    """The logits at one place of each row: B, vocabulary. tokens: B, T; places: B; documents: T, of every row."""
    device = next(model.parameters()).device
    tokens, places = tokens.to(device), places.to(device)
    if isinstance(model, Bert):
        shown = None if documents is None else documents.to(device).expand_as(tokens)
        return model.logits_at(tokens, places, documents=shown)
    return model.logits(tokens)[torch.arange(len(tokens), device=device), places]


def losses_by_document(held_out: HeldOut, rows: Sequence[Sequence[SampledSpan]]) -> list[DocumentLoss]:
    """The sampled spans of all rows, summed by document."""
    spans = iter([span for row in rows for span in row])
    own = own_texts(held_out)
    documents = []
    for document in held_out.documents():
        losses, tokens, sizes = zip(*islice(spans, document.spans), strict=True)
        share = text_share(own.get(document.id), document, sum(sizes))
        language = held_out.language_of[document.id]
        documents.append(DocumentLoss(language, math.fsum(losses), sum(tokens), share.bytes, share.lost_nats))
    return documents
