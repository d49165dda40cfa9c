"""Held-out loss in nats a token, perplexity, and bits per byte beside those of `xz -9`; overall and by language.

Every row is scored once, as it was packed: a token is predicted from those before it in its row, the first token of a
row from nothing and so not at all. The loss of every predicted token, end-of-text included, is divided by the bytes of
the documents' own text for which those tokens stand: the only figure that compares vocabularies and languages. What is
lost of the text is charged (own_text.py). Cost: one forward pass in fp32.

A recurrent model reads a piece's rows one after another and goes on from the state that each left behind, as it does in
training; the piece begins with a state of zero. So it predicts the same tokens as everyone, from more than their row.
Pieces follow from the data alone, and so do the figures. A model that reads both ways is asked in each by itself
(`forward_*`, `backward_*`: every token but the last of its row, from those after it); one that fills gaps is asked
otherwise, and its figures are called otherwise (pseudo.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.evaluation import pseudo
from training.evaluation.base import Finding, Piece, Score, Subject, Task
from training.evaluation.held_out import HeldOut, Row
from training.evaluation.own_text import texts
from training.evaluation.scored import Losses, Scored, by_document, finite, scores, span_losses
from training.evaluation.xz import bits_per_byte
from training.models.base import Model
from training.models.bilstm import Bilstm

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
        rows, model = subject.held_out.rows(piece["start"], piece["stop"]), subject.model
        if isinstance(model, Bilstm):
            return _both_ways(model, rows, piece["batch"])
        memory = model.cache() if model.carries else None
        found = []
        while batch := list(islice(rows, 1 if model.carries else piece["batch"])):
            losses = token_losses(model, batch, memory)
            found += [span_losses(row, values) for row, values in zip(batch, losses, strict=True)]
        return found

    def merge(self, held_out: HeldOut, results: list[Any]) -> Finding:
        readings = _readings(held_out, results[1:])
        documents, found = next(iter(readings.values())), list[Score]()
        for language, xz_bits in results[0]:
            for prefix, read in readings.items():
                found += scores(read, language, prefix=prefix)
            items = sum(language in (None, one.language) for one in documents)
            found.append(Score("perplexity", "xz_bits_per_byte", xz_bits, None, items, language))
        counts = {
            "documents": len(documents),
            "predicted_tokens": sum(one.tokens for read in readings.values() for one in read),
            "predicted_bytes": round(sum(one.bytes for read in readings.values() for one in read)),
        }
        return Finding(found, counts=counts)


def _readings(held_out: HeldOut, results: list[Any]) -> dict[str, list[Scored]]:
    """What each document cost, by how the model was asked: the beginning of that way's metrics."""
    if not isinstance(results[0], dict):
        return {"": by_document(held_out, [row for rows in results for row in rows])}
    if "pseudo" in results[0]:
        return {"pseudo_": pseudo.documents(held_out, results)}
    onward, back = ([row for found in results for row in found[way]] for way in ("forward", "backward"))
    return {
        "forward_": by_document(held_out, onward),
        "backward_": by_document(held_out, back, unpredicted="last"),
    }


def token_losses(model: Model, batch: Sequence[Row], memory: Any = None) -> list[Losses]:
    """The loss of each token of each row in nats; 0 for the first, which nothing predicts. `memory`: what was read."""
    # what lies behind a short row's end is never looked at: attention is causal and its loss is not read
    tokens, _ = _padded(batch)
    more = () if memory is None else (memory,)
    with torch.inference_mode():
        logits = model.logits(tokens.to(next(model.parameters()).device), *more)
        # a row at a time: the softmax of a whole batch would be a second copy of its logits
        return [_row_losses(logits[at], torch.from_numpy(row.tokens)) for at, row in enumerate(batch)]


def _both_ways(model: Bilstm, rows: Iterator[Row], batch_rows: int) -> dict[str, list[list[float]]]:
    """The losses of the spans of rows that are read from both ends."""
    found: dict[str, list[list[float]]] = {"forward": [], "backward": []}
    where = next(model.parameters()).device
    while batch := list(islice(rows, batch_rows)):
        tokens, lengths = _padded(batch)
        with torch.inference_mode():
            onward, back = model.directions(tokens.to(where), lengths.to(where))
            for at, row in enumerate(batch):
                own, length = torch.from_numpy(row.tokens), len(row.tokens)
                found["forward"].append(span_losses(row, _row_losses(onward[at], own)))
                turned = _row_losses(back[at, :length].flip(0), own.flip(0))
                found["backward"].append(span_losses(row, turned[::-1]))
    return found


def _padded(batch: Sequence[Row]) -> tuple[Tensor, Tensor]:
    """Tokens (B, T) and how many of each row count (B)."""
    lengths = [len(row.tokens) for row in batch]
    tokens = torch.zeros(len(batch), max(lengths), dtype=torch.long)
    for at, row in enumerate(batch):
        tokens[at, : len(row.tokens)] = torch.from_numpy(row.tokens)
    return tokens, torch.tensor(lengths)


def _row_losses(logits: Tensor, tokens: Tensor) -> Losses:
    # logits: T or more, V; tokens: T, each of which the logits before it predict
    losses = np.zeros(len(tokens), np.float64)
    if len(tokens) > 1:
        targets = tokens[1:].to(logits.device)
        losses[1:] = F.cross_entropy(logits[: len(targets)], targets, reduction="none").cpu().double().numpy()
    return finite(losses)


def _xz(held_out: HeldOut) -> list[tuple[str | None, float]]:
    """All the text and each language by itself, one after the other: one compressor's memory at a time."""
    languages = sorted(set(held_out.language_of.values()))
    whole = bits_per_byte(texts(held_out))
    if len(languages) == 1:
        return [(None, whole), (languages[0], whole)]
    parts = [(one, bits_per_byte(texts(held_out, one))) for one in languages]
    return [(None, whole), *parts]
