"""Tell a text's own positive from those of the other texts of its group: InfoNCE on sentence embeddings.

In: packed rows; out: for each row one text and its positive, both of one document, and the summed loss of both
directions: for anchor i, −log softmax over j of cos(u_i, v_j) / temperature at j = i, and again with u and v exchanged,
halved (van den Oord et al. 2018, arXiv 1807.03748; Radford et al. 2021, arXiv 2103.00020, for both directions).
Positives by `dropout`: the same text under another mask (Gao et al. 2021, arXiv 2104.08821); by `spans`: the next span
of the same document (Giorgi et al. 2021, arXiv 2006.03659). Cost: two passes over at most half a row each, or one row.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pipeline.core.errors import UserError
from training.keyed_rng import Keys, uniform
from training.models.base import Model
from training.objectives import section
from training.objectives.base import Objective, Tensors
from training.objectives.section import masks_problem
from training.objectives.sentences import Frame, embed, exact, rows_of

Rows = NDArray[np.int64]
# tokens of the shortest span that is taken for a text: a few words say little of what they are about
SHORTEST = 8
FEW = 2  # anchors of a group, without which there is nothing to tell a positive from


class Contrastive(Objective):
    """See the module. A row without a text and a positive counts nothing, and is nobody's negative.

    The held-out loss under `dropout` is taken without dropout: it says how far apart texts lie, and no more.
    """

    config: section.Contrastive

    def __init__(self, config: section.Contrastive, tokenizer: Path) -> None:
        super().__init__(config, tokenizer)
        self.frame = Frame.read(tokenizer)
        self.group = config.group

    def batch(self, tokens: Rows, lengths: Rows, keys: Keys) -> tuple[Tensors, Tensor]:
        if len(tokens) % self.group:
            raise UserError(
                f"pretrain.objective.group: {len(tokens):,} rows of a worker are no whole groups of {self.group:,}. "
                "Choose a divisor of them, or raise pretrain.batch_tokens."
            )
        chances = uniform(keys, 4, "contrastive")
        # with marks around it a text is no longer than a row: the context of the rows serves
        width = max(1, min(tokens.shape[1] if self._same else tokens.shape[1] // 2, tokens.shape[1] - 2))
        chosen = [
            self._spans(row[:length], u, most=width) for row, length, u in zip(tokens, lengths, chances, strict=True)
        ]
        counted = self._counted(np.array([len(first) > 0 for first, _ in chosen]))
        found = {}
        for name, spans in (("tokens", [first for first, _ in chosen]), ("positives", [other for _, other in chosen])):
            if name == "tokens" or not self._same:
                found[name], found[f"{name}_lengths"] = rows_of(spans, width, self.frame.end_of_text)
        return {**found, "counted": torch.from_numpy(counted)}, torch.from_numpy(counted.astype(np.int64))

    def examine(self, rows: Iterable[NDArray[Any]]) -> None:
        """Raises: UserError when no row holds a text and its positive; ends at the first that does."""
        least = SHORTEST if self._same else 2 * SHORTEST
        if any(_document(row, self.frame.end_of_text, least=least, chance=0.0)[1] for row in rows):
            return
        raise UserError(
            f"pretrain.objective: no row holds a document of {least} tokens, and contrastive prediction by "
            f"{self.config.positives} needs one. Lengthen pack.length, or train on longer documents."
        )

    def idle(self, model: Model) -> list[str]:
        """Heads over the vocabulary and the like: all that does not make the last layer what it is."""
        named, learning = {name: p for name, p in model.named_parameters() if p.requires_grad}, model.training
        made = model.eval().hidden(torch.zeros(1, 2, dtype=torch.long), lengths=torch.tensor([2])).sum()
        model.train(learning)
        found = torch.autograd.grad(made, list(named.values()), allow_unused=True)
        return [name for name, gradient in zip(named, found, strict=True) if gradient is None]

    def loss(self, model: Model, batch: Tensors) -> Tensor:
        if model.training and (wrong := masks_problem(self.config.model_dump(), model.config.model_dump())):
            raise UserError(f"pretrain.objective: {wrong}")
        first, lengths = batch["tokens"], batch["tokens_lengths"]
        other, others = batch.get("positives", first), batch.get("positives_lengths", lengths)
        # one pass for both: what an engine hooks to a module sees it once a step
        vectors = embed(model, self.frame, torch.cat([first, other]), torch.cat([lengths, others]))
        anchors, positives = vectors.chunk(2)
        return info_nce(anchors, positives, batch["counted"], group=self.group, temperature=self.config.temperature)

    @property
    def _same(self) -> bool:
        return self.config.positives == "dropout"

    def _spans(self, row: Rows, chances: NDArray[np.float64], *, most: int) -> tuple[Rows, Rows]:
        """A text of one document of the row, and its positive; empty where no document is long enough."""
        parts = 1 if self._same else 2
        start, end = _document(row, self.frame.end_of_text, least=parts * SHORTEST, chance=chances[0])
        most = min((end - start) // parts, most)
        if most < SHORTEST:
            return row[:0], row[:0]
        sizes = [SHORTEST + int(chance * (most - SHORTEST + 1)) for chance in chances[1 : 1 + parts]]
        first = start + int(chances[3] * (end - start - sum(sizes) + 1))
        middle = first + sizes[0]
        return row[first:middle], row[first:middle] if self._same else row[middle : middle + sizes[1]]

    def _counted(self, there: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which rows are anchors: those that hold a text, in groups of at least two of them."""
        groups = there.reshape(-1, self.group)
        enough = groups.sum(axis=1, keepdims=True) >= FEW
        counted: NDArray[np.bool_] = (groups & enough).reshape(-1)
        return counted


def _document(row: Rows, end_of_text: int, *, least: int, chance: float) -> tuple[int, int]:
    """Where a document of the row with at least so many tokens starts and ends, longer ones oftener; 0, 0 for none."""
    ends = np.append(np.flatnonzero(row == end_of_text), len(row))
    starts = np.append(0, ends[:-1] + 1)
    sizes = np.where(ends - starts >= least, ends - starts, 0)
    if not sizes.any():
        return 0, 0
    found = int(np.searchsorted(sizes.cumsum(), chance * sizes.sum(), side="right"))
    return int(starts[found]), int(ends[found])


def info_nce(anchors: Tensor, positives: Tensor, counted: Tensor, *, group: int, temperature: float) -> Tensor:
    """The loss of every counted anchor in nats, summed; both B, C; only rows of one group are held against each other.

    Both directions, halved. Products of bf16 would move cosines by 1/256, and logits by 20 times that: this is fp32.
    """
    with torch.autocast(anchors.device.type, enabled=False):
        u, v = (F.normalize(exact(one), dim=1).view(-1, group, one.shape[1]) for one in (anchors, positives))
        logits = u @ v.transpose(1, 2) / temperature  # groups, anchors, positives
        there = counted.view(-1, group)
        own = torch.arange(group, device=logits.device)
        # a row's own place stays open even where nothing counts: a softmax of nothing but −inf is none
        open_to = there.unsqueeze(1) & there.unsqueeze(2) | (own == own.unsqueeze(1))
        logits, own = logits.masked_fill(~open_to, float("-inf")), own.expand(len(logits), group)
        found = sum(F.cross_entropy(one, own, reduction="none") for one in (logits.transpose(1, 2), logits))
        return (found * there / 2).sum()
