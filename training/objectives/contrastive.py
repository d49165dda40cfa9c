"""InfoNCE on sentence embeddings: recognise a text's own positive among those of the other texts of its group.

In: packed rows; out: for each row one text and its positive, both of one document, and the summed loss of both
directions: for anchor i, −log softmax over j of cos(u_i, v_j) / temperature at j = i, and again with u and v exchanged,
halved (van den Oord et al. 2018, arXiv 1807.03748; Radford et al. 2021, arXiv 2103.00020, for both directions).
Positives by `dropout`: the same text under another mask (Gao et al. 2021, arXiv 2104.08821); by `spans`: the next span
of the same document (Giorgi et al. 2021, arXiv 2006.03659). Cost: two passes over at most half a row each, or one row.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pipeline.core.errors import UserError
from training.keyed_rng import Keys, uniform
from training.models.base import Model
from training.objectives import section
from training.objectives.base import IntArray, Objective, Tensors
from training.objectives.section import dropout_problem
from training.objectives.sentences import TextTemplate, embed, exact, rows_of

TokenRows = NDArray[np.int64]
# of the shortest span that is used as a text: a few words say little about their subject
MIN_TEXT_TOKENS = 8
MIN_ANCHORS = 2  # in a group; a single one has no negatives


class Contrastive(Objective):
    """See the module. A row without a text and a positive does not count, and is never a negative.

    The held-out loss under `dropout` is computed without dropout: it measures only how far apart texts lie.
    """

    config: section.Contrastive

    def __init__(self, config: section.Contrastive, tokenizer: Path) -> None:
        super().__init__(config, tokenizer)
        self.template = TextTemplate.read(tokenizer)
        self.group = config.group

    def batch(self, tokens: TokenRows, lengths: TokenRows, keys: Keys) -> tuple[Tensors, Tensor]:
        if len(tokens) % self.group:
            raise UserError(
                f"pretrain.objective.group: {len(tokens):,} rows of a worker are no multiple of {self.group:,}. "
                "Choose a divisor of them, or raise pretrain.batch_tokens."
            )
        draws = uniform(keys, 4, "contrastive")
        # with special tokens around it a text is no longer than a row, so the context of the rows is enough
        width = max(1, min(tokens.shape[1] if self._same_text else tokens.shape[1] // 2, tokens.shape[1] - 2))
        selected = [
            self._spans(row[:length], u, max_tokens=width)
            for row, length, u in zip(tokens, lengths, draws, strict=True)
        ]
        counted = self._counted(np.array([len(first) > 0 for first, _ in selected]))
        inputs = {}
        anchors = [anchor for anchor, _ in selected]
        positives = [positive for _, positive in selected]
        for name, spans in (("tokens", anchors), ("positives", positives)):
            if name == "tokens" or not self._same_text:
                inputs[name], inputs[f"{name}_lengths"] = rows_of(spans, width, self.template.end_of_text)
        return {**inputs, "counted": torch.from_numpy(counted)}, torch.from_numpy(counted.astype(np.int64))

    def examine(self, rows: Iterable[IntArray]) -> None:
        """Raises: UserError when no row holds a text and its positive; stops at the first that does."""
        least = MIN_TEXT_TOKENS if self._same_text else 2 * MIN_TEXT_TOKENS
        if any(_document(row, self.template.end_of_text, least=least, draw=0.0)[1] for row in rows):
            return
        raise UserError(
            f"pretrain.objective: no row holds a document of {least} tokens, and contrastive prediction by "
            f"{self.config.positives} needs one. Lengthen pack.length, or train on longer documents."
        )

    def idle(self, model: Model) -> list[str]:
        """Parameters that the last layer does not depend on, such as heads over the vocabulary."""
        parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        training = model.training
        output = model.eval().hidden(torch.zeros(1, 2, dtype=torch.long), lengths=torch.tensor([2])).sum()
        model.train(training)
        gradients = torch.autograd.grad(output, list(parameters.values()), allow_unused=True)
        return [name for name, gradient in zip(parameters, gradients, strict=True) if gradient is None]

    def loss(self, model: Model, batch: Tensors) -> Tensor:
        problem = dropout_problem(self.config.model_dump(), model.config.model_dump())
        if model.training and problem:
            raise UserError(f"pretrain.objective: {problem}")
        anchor_tokens, anchor_lengths = batch["tokens"], batch["tokens_lengths"]
        positive_tokens = batch.get("positives", anchor_tokens)
        positive_lengths = batch.get("positives_lengths", anchor_lengths)
        tokens = torch.cat([anchor_tokens, positive_tokens])
        # one pass for both, so that the hooks of an engine run once a step
        vectors = embed(model, self.template, tokens, torch.cat([anchor_lengths, positive_lengths]))
        anchors, positives = vectors.chunk(2)
        return info_nce(anchors, positives, batch["counted"], group=self.group, temperature=self.config.temperature)

    @property
    def _same_text(self) -> bool:
        return self.config.positives == "dropout"

    def _spans(self, row: TokenRows, draws: NDArray[np.float64], *, max_tokens: int) -> tuple[TokenRows, TokenRows]:
        """A text of one document of the row, and its positive; empty where no document is long enough."""
        parts = 1 if self._same_text else 2
        start, end = _document(row, self.template.end_of_text, least=parts * MIN_TEXT_TOKENS, draw=draws[0])
        longest = min((end - start) // parts, max_tokens)
        if longest < MIN_TEXT_TOKENS:
            return row[:0], row[:0]
        sizes = [MIN_TEXT_TOKENS + int(draw * (longest - MIN_TEXT_TOKENS + 1)) for draw in draws[1 : 1 + parts]]
        first = start + int(draws[3] * (end - start - sum(sizes) + 1))
        middle = first + sizes[0]
        return row[first:middle], row[first:middle] if self._same_text else row[middle : middle + sizes[1]]

    def _counted(self, has_text: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The rows that are anchors: those that hold a text, in groups with at least MIN_ANCHORS of them."""
        groups = has_text.reshape(-1, self.group)
        enough = groups.sum(axis=1, keepdims=True) >= MIN_ANCHORS
        counted: NDArray[np.bool_] = (groups & enough).reshape(-1)
        return counted


def _document(row: TokenRows, end_of_text: int, *, least: int, draw: float) -> tuple[int, int]:
    """[start, end) of a document with at least so many tokens, longer ones with higher probability; 0, 0 for none."""
    ends = np.append(np.flatnonzero(row == end_of_text), len(row))
    starts = np.append(0, ends[:-1] + 1)
    sizes = np.where(ends - starts >= least, ends - starts, 0)
    if not sizes.any():
        return 0, 0
    index = int(np.searchsorted(sizes.cumsum(), draw * sizes.sum(), side="right"))
    return int(starts[index]), int(ends[index])


def info_nce(anchors: Tensor, positives: Tensor, counted: Tensor, *, group: int, temperature: float) -> Tensor:
    """The loss of every counted anchor in nats, summed; both B, C; only rows of one group are compared.

    Both directions, halved. Products of bf16 would move cosines by 1/256, and logits by 20 times that: this is fp32.
    """
    with torch.autocast(anchors.device.type, enabled=False):
        u, v = (F.normalize(exact(x), dim=1).view(-1, group, x.shape[1]) for x in (anchors, positives))
        logits = u @ v.transpose(1, 2) / temperature  # groups, anchors, positives
        anchor = counted.view(-1, group)
        own = torch.arange(group, device=logits.device)
        # a row's own column is never masked, even where nothing counts: a softmax over −inf alone is not a number
        visible = anchor.unsqueeze(1) & anchor.unsqueeze(2) | (own == own.unsqueeze(1))
        logits = logits.masked_fill(~visible, float("-inf"))
        targets = own.expand(len(logits), group)
        losses = sum(F.cross_entropy(x, targets, reduction="none") for x in (logits.transpose(1, 2), logits))
        return (losses * anchor / 2).sum()
