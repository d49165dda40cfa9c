"""A forward and a backward LSTM over one embedding and one head: ELMo (Peters et al. 2018, arXiv 1802.05365).

Neither direction sees the other: the forward one predicts each token from those before it, the backward one from those
after it, and both together represent a word in its context by one vector a layer (`layers`; mix.py weighs them). From
the second layer on each layer adds its inputs to its outputs. Weights by name: embed.weight, head.weight (untied),
onward.N and back.N.{weight_ih, weight_hh, bias_ih, bias_hh} as in nn.LSTM. T tokens, B rows, C width.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from training.models.base import Model, ModelCache
from training.models.layers import head_loss, scores
from training.models.recurrent import EMBEDDING_RMS, OUTPUT_RMS, SPREAD, RecurrentLayer, drop_features
from training.models.sections import recurrent as section


class Bilstm(Model):
    """See the module. Every row starts from a zero state: no state is carried from one to the next."""

    family = "bilstm"
    config: section.Bilstm

    def __init__(self, config: section.Bilstm, *, vocabulary: int, context: int) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary
        self.context = context
        width = config.width
        self.embed = nn.Embedding(vocabulary, width)
        sources = [EMBEDDING_RMS, *[OUTPUT_RMS["lstm"]] * (config.layers - 1)]
        self.onward = nn.ModuleList(RecurrentLayer("lstm", width, width, source=source) for source in sources)
        self.back = nn.ModuleList(RecurrentLayer("lstm", width, width, source=source) for source in sources)
        self.head = None if config.tied else nn.Linear(width, vocabulary, bias=False)
        nn.init.uniform_(self.embed.weight, -SPREAD, SPREAD)
        if self.head is not None:
            nn.init.uniform_(self.head.weight, -SPREAD, SPREAD)

    def forward(self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0, **backward: Tensor) -> Tensor:
        """The losses of both directions. `backward`: `backward_order` and `backward_targets`; B, T."""
        onward, back = self._read(tokens, backward["backward_order"])
        x = torch.cat([onward[-1], back[-1]])  # 2 T, B, C: one head for both
        both_targets = torch.cat([targets.t(), backward["backward_targets"].t()]).reshape(-1)
        return head_loss(x.reshape(-1, x.shape[-1]), self._head(), both_targets, label_smoothing=label_smoothing)

    def layers(self, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        """A vector a layer for every token in its context: layers + 1, B, T, 2 C; first the embedding, twice.

        Only the first `lengths[b]` tokens of row b count (all where it is None); the others do not change them.
        """
        backward_order = backward_positions(tokens, lengths)
        onward, back = self._read(tokens, backward_order)
        both = [
            torch.cat([forward, _take(backward, backward_order)], dim=-1)
            for forward, backward in zip(onward, back, strict=True)
        ]
        return torch.stack(both).transpose(1, 2)

    def hidden(self, tokens: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        """The last layer of both directions: B, T, 2 C."""
        return self.layers(tokens, lengths)[-1]

    def directions(self, tokens: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """float32 scores at every token of the one after it, and of the one before it: B, T, vocabulary each."""
        backward_order = backward_positions(tokens, lengths)
        onward, back = self._read(tokens, backward_order)
        head = self._head()
        backward = _take(back[-1], backward_order)
        return scores(onward[-1].transpose(0, 1), head), scores(backward.transpose(0, 1), head)

    def logits(self, tokens: Tensor, cache: ModelCache = None) -> Tensor:
        """Those of the forward direction, which is a language model by itself."""
        return scores(self._layers(tokens, self.onward)[-1].transpose(0, 1), self._head())

    def _read(self, tokens: Tensor, backward_order: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The embedding and every layer of both directions, T, B, C each; the backward ones from the end of a row."""
        return self._layers(tokens, self.onward), self._layers(tokens.gather(1, backward_order), self.back)

    def _layers(self, tokens: Tensor, layers: Iterable[nn.Module]) -> list[Tensor]:
        outputs = [self.embed(tokens.t())]
        rate = self.config.dropout if self.training else 0.0
        for layer in layers:
            x, _ = layer(outputs[-1])
            x = drop_features(x, rate)
            outputs.append(x if len(outputs) == 1 else outputs[-1] + x)
        return outputs

    def _head(self) -> Tensor:
        weight: Tensor = self.embed.weight if self.head is None else self.head.weight
        return weight


def backward_positions(tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
    """The position of the t-th token when the row is read from its end, which is its own inverse: B, T.

    Positions after the end of a short row do not change.
    """
    rows, longest = tokens.shape
    positions = torch.arange(longest, device=tokens.device).expand(rows, longest)
    ends = (torch.full_like(positions[:, :1], longest) if lengths is None else lengths.unsqueeze(1)).to(
        positions.device
    )
    return torch.where(positions < ends, ends - 1 - positions, positions)


def _take(x: Tensor, backward_order: Tensor) -> Tensor:
    """x (T, B, C) in the order of its rows."""
    return x.gather(0, backward_order.t().unsqueeze(-1).expand_as(x))
