"""A forward and a backward LSTM over one embedding and one head: ELMo (Peters et al. 2018, arXiv 1802.05365).

Neither direction ever sees the other: the forward one gives each token's chance after those before it, the backward one
the same from those after it, and both together a word's meaning in its context, a vector a layer (`layers`; mix.py
weighs them). From the second layer on each adds to what it read. Weights by name: embed.weight, head.weight (untied),
onward.N and back.N.{weight_ih, weight_hh, bias_ih, bias_hh} as in nn.LSTM. T tokens, B rows, C width.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from training.models.base import Model
from training.models.layers import head_loss, scores
from training.models.recurrent import EMBEDDED, SAID, SPREAD, Layer, drop_features
from training.models.sections import recurrent as section


class Bilstm(Model):
    """See the module. Rows begin and end with nothing: no state goes on from one to the next."""

    family = "bilstm"

    def __init__(self, config: section.Bilstm, *, vocabulary: int, context: int) -> None:
        super().__init__()
        self.config, self.vocabulary, self.context = config, vocabulary, context
        width = config.width
        self.embed = nn.Embedding(vocabulary, width)
        sources = [EMBEDDED, *[SAID["lstm"]] * (config.layers - 1)]
        self.onward = nn.ModuleList(Layer("lstm", width, width, source=source) for source in sources)
        self.back = nn.ModuleList(Layer("lstm", width, width, source=source) for source in sources)
        self.head = None if config.tied else nn.Linear(width, vocabulary, bias=False)
        nn.init.uniform_(self.embed.weight, -SPREAD, SPREAD)
        if self.head is not None:
            nn.init.uniform_(self.head.weight, -SPREAD, SPREAD)

    def forward(
        self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0, **reading_back: Tensor
    ) -> Tensor:
        """The losses of both directions. `reading_back`: `turned`, and what follows there (`turned_targets`); B, T."""
        onward, back = self._read(tokens, reading_back["turned"])
        x = torch.cat([onward[-1], back[-1]])  # 2 T, B, C: one head for both
        wanted = torch.cat([targets.t(), reading_back["turned_targets"].t()]).reshape(-1)
        return head_loss(x.reshape(-1, x.shape[-1]), self._head(), wanted, label_smoothing=label_smoothing)

    def layers(self, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        """A vector a layer for every token in its context: layers + 1, B, T, 2 C; first the embedding, twice.

        Only the first `lengths[b]` tokens of row b count (all where it is None); what lies behind them says nothing.
        """
        turned = turn(tokens, lengths)
        onward, back = self._read(tokens, turned)
        both = [torch.cat([one, _take(other, turned)], dim=-1) for one, other in zip(onward, back, strict=True)]
        return torch.stack(both).transpose(1, 2)

    def hidden(self, tokens: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        """The last layer of both directions: B, T, 2 C."""
        return self.layers(tokens, lengths)[-1]

    def directions(self, tokens: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """float32 scores at every token of the one after it, and of the one before it: B, T, vocabulary each."""
        turned = turn(tokens, lengths)
        onward, back = self._read(tokens, turned)
        said = (onward[-1], _take(back[-1], turned))
        one, other = (scores(x.transpose(0, 1), self._head()) for x in said)
        return one, other

    def logits(self, tokens: Tensor, cache: Any = None) -> Tensor:
        """Those of the forward direction, which is a language model by itself."""
        return scores(self._layers(tokens, self.onward)[-1].transpose(0, 1), self._head())

    def _read(self, tokens: Tensor, turned: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The embedding and every layer of both directions, T, B, C each; the backward ones from the end of a row."""
        return self._layers(tokens, self.onward), self._layers(tokens.gather(1, turned), self.back)

    def _layers(self, tokens: Tensor, layers: Iterable[nn.Module]) -> list[Tensor]:
        found = [self.embed(tokens.t())]
        rate = self.config.dropout if self.training else 0.0
        for layer in layers:
            said, _ = layer(found[-1])
            said = drop_features(said, rate)
            found.append(said if len(found) == 1 else found[-1] + said)
        return found

    def _head(self) -> Tensor:
        weight: Tensor = self.embed.weight if self.head is None else self.head.weight
        return weight


def turn(tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Where in its row the t-th token lies when the row is read from its end, and the other way round: B, T.

    What lies behind a short row's end stays where it is.
    """
    rows, longest = tokens.shape
    at = torch.arange(longest, device=tokens.device).expand(rows, longest)
    ends = (torch.full_like(at[:, :1], longest) if lengths is None else lengths.unsqueeze(1)).to(at.device)
    return torch.where(at < ends, ends - 1 - at, at)


def _take(x: Tensor, turned: Tensor) -> Tensor:
    """x (T, B, C) in the order of its rows."""
    return x.gather(0, turned.t().unsqueeze(-1).expand_as(x))
