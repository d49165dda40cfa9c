"""Pseudo-perplexity of models that fill gaps (Salazar et al. 2020, arXiv 1910.14659): each token hidden in turn, alone.

That is a pass over a row for every token, so a fixed sample is asked: every k-th token of the split, k such that no
more than READ tokens are read. It compares masked models with each other, never with a causal one: a hidden token is
guessed from both sides. Bits per byte are of the share of each document's bytes that the asked tokens spell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.evaluation.base import Piece, Subject
from training.evaluation.held_out import HeldOut, Row
from training.evaluation.own_text import own_texts, share
from training.evaluation.scored import Losses, Scored, finite
from training.models.base import Model
from training.models.bert import Bert
from training.objectives import special_tokens

# tokens read over the whole split: seconds for a small model, and the same for any corpus
READ = 1 << 19
# tokens of a batch; always the same rows, for another batch is another order of sums
BATCH_TOKENS = 2048


def fills_gaps(model: Model) -> bool:
    """Whether a model predicts hidden tokens, not the next one."""
    return isinstance(model, Bert) or getattr(model.config, "head", None) == "masked"


def step(held_out: HeldOut) -> int:
    """Every so many tokens one is asked. It shares no factor with a row's length, so that all places come in turn."""
    found = max(1, math.ceil(held_out.row_count * held_out.length**2 / READ))
    while math.gcd(found, held_out.length) > 1:
        found += 1
    return found


def work(piece: Piece, subject: Subject) -> dict[str, Any]:
    """For each row, and each document's span in it: the loss, number and bytes of the tokens that were asked."""
    held_out, every = subject.held_out, step(subject.held_out)
    own, sizes = special_tokens.read(held_out.tokenizer), held_out.pieces.sizes
    found = []
    for number, row in enumerate(held_out.rows(piece["start"], piece["stop"]), piece["start"]):
        places = np.arange((-number * held_out.length) % every, len(row.tokens), every)
        places = places[~np.isin(row.tokens[places], own.special)]
        losses = np.zeros(len(row.tokens))
        losses[places] = _losses(subject.model, row, places.tolist(), own)
        asked = np.zeros(len(row.tokens), np.int64)
        asked[places] = 1
        spans = [slice(start, end) for _, start, end in row.spans]
        found.append(
            [
                [math.fsum(losses[s].tolist()), int(asked[s].sum()), int((sizes[row.tokens] * asked)[s].sum())]
                for s in spans
            ]
        )
    return {"pseudo": found}


def _losses(model: Model, row: Row, places: list[int], own: special_tokens.Marks) -> Losses:
    """The loss of each of these tokens, hidden alone among all others, in nats."""
    framed = torch.tensor([own.start, *row.tokens.tolist(), own.end])
    batch = max(1, BATCH_TOKENS // len(framed))
    found: list[float] = []
    rest = iter(places)
    while some := list(islice(rest, batch)):
        at = torch.tensor(some) + 1
        tokens = framed.repeat(len(some), 1)
        tokens[torch.arange(len(some)), at] = own.mask
        with torch.inference_mode():
            scores = scores_at(model, tokens, at)
            found += F.cross_entropy(scores, framed[at].to(scores.device), reduction="none").cpu().double().tolist()
    return finite(np.array(found))


def scores_at(model: Model, tokens: Tensor, places: Tensor) -> Tensor:
    """Scores of every piece at one place of each row: B, vocabulary. tokens: B, T; places: B."""
    where = next(model.parameters()).device
    tokens, places = tokens.to(where), places.to(where)
    if isinstance(model, Bert):
        return model.logits_at(tokens, places)
    return model.logits(tokens)[torch.arange(len(tokens), device=where), places]


def documents(held_out: HeldOut, results: Sequence[Any]) -> list[Scored]:
    """The results of `work`, put together by document."""
    spans = iter([span for result in results for row in result["pseudo"] for span in row])
    own = own_texts(held_out)
    found = []
    for document in held_out.documents():
        losses, tokens, sizes = zip(*islice(spans, document.spans), strict=True)
        part = share(own.get(document.id), document, sum(sizes))
        language = held_out.language_of[document.id]
        found.append(Scored(language, math.fsum(losses), sum(tokens), part.bytes, part.lost))
    return found
