"""Recurrent language models: `rnn` (Elman 1990), `lstm` (Hochreiter and Schmidhuber 1997) and `gru` (Cho et al. 2014).

With the regularisers of AWD-LSTM (Merity et al. 2018, arXiv 1708.02182). Weights by name: embed.weight, head.weight
(untied), layers.N.{weight_ih, weight_hh, bias_ih, bias_hh} in the layout of nn.RNN, nn.LSTM and nn.GRU (gates stacked).
In tensor code time comes first, as the kernels want it: T tokens, B rows, C width. A state is a list: h of every layer
in turn (for `lstm` h and c), each 1, B, H. Memory while training: the outputs of every gate, T × B numbers for each.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from training.models.base import Model, RecurrentState
from training.models.dropout import dropout
from training.models.layers import head_loss, scores
from training.models.sections import recurrent as section

CellType = Literal["rnn", "lstm", "gru"]

GATES: dict[CellType, int] = {"rnn": 1, "lstm": 4, "gru": 3}
STATE_TENSORS: dict[CellType, int] = {"rnn": 1, "lstm": 2, "gru": 1}  # tensors of a layer's state
SPREAD = 0.1  # embeddings are uniform within it, as in AWD-LSTM
# the initial root mean square of a layer's inputs, approximately: of the embedding, or of the layer below
EMBEDDING_RMS = SPREAD / 3**0.5
OUTPUT_RMS = {"rnn": 0.6, "lstm": 0.2, "gru": 0.4}


class RecurrentLayer(nn.Module):
    """One layer, one direction, by PyTorch's own kernels (oneDNN or cuDNN where they have one), in bf16 under autocast.

    With weight dropout (DropConnect, Wan et al. 2013) one mask on the hidden-to-hidden matrix serves the complete call.
    Weights are initialised so that a gate's inputs have size 1 for a `source` of this size. PyTorch's initialisation
    assumes 1, but the embedding is smaller: then h stays near 0, and so does every gradient. After 150 steps of 2,048
    tokens on English and Chinese, in nats: lstm 6.2 for 7.4, gru 5.9 for 7.6, rnn 6.5 for 7.6 (one seed; gpt 6.4).
    """

    def __init__(
        self, cell: CellType, width: int, hidden: int, *, source: float = EMBEDDING_RMS, weight_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.cell = cell
        self.hidden = hidden
        self.weight_dropout = weight_dropout
        gates = GATES[cell] * hidden
        self.weight_ih = nn.Parameter(torch.empty(gates, width))
        self.weight_hh = nn.Parameter(torch.empty(gates, hidden))
        self.bias_ih = nn.Parameter(torch.zeros(gates))
        self.bias_hh = nn.Parameter(torch.zeros(gates))
        bound = 3**0.5 / (width**0.5 * source)
        nn.init.uniform_(self.weight_ih, -bound, bound)
        nn.init.uniform_(self.weight_hh, -(hidden**-0.5), hidden**-0.5)
        if cell == "lstm":  # remember at first (Jozefowicz et al. 2015); gates are i, f, g, o
            nn.init.ones_(self.bias_ih.data[hidden : 2 * hidden])

    def forward(self, x: Tensor, state: RecurrentState | None = None) -> tuple[Tensor, RecurrentState]:
        """The outputs of the layer for x (T, B, C), and its final state. Without a state it starts at zero."""
        rate = self.weight_dropout if self.training else 0.0
        weights = [self.weight_ih, dropout(self.weight_hh, rate), self.bias_ih, self.bias_hh]
        if state is None:
            state = [x.new_zeros(1, x.shape[1], self.hidden)] * STATE_TENSORS[self.cell]
        # biases, one layer, no dropout, keep what the gradient needs, one direction, time first
        options = (True, 1, 0.0, torch.is_grad_enabled(), False, False)
        if self.cell == "lstm":
            outputs, *after = torch.lstm(x, state, weights, *options)
        else:
            outputs, *after = (torch.gru if self.cell == "gru" else torch.rnn_tanh)(x, state[0], weights, *options)
        return outputs, after


def drop_features(x: Tensor, rate: float) -> Tensor:
    """The same features of a row at all its tokens (T, B, C): variational dropout (Gal and Ghahramani 2016)."""
    return x * dropout(x.new_ones(1, *x.shape[1:]), rate) if rate else x


class RecurrentCache:
    """The state after the tokens that were read."""

    def __init__(self) -> None:
        self.state: RecurrentState | None = None


class Recurrent(Model):
    """See the module. Every layer but the last is `hidden` wide; the last is `width` where the head is tied.

    To an optimizer stacked gates are one matrix: Muon orthogonalises them together. Each gate by itself gave the same
    loss (after 0.3 M tokens of English and Chinese: lstm 6.16 for 6.14, gru 6.14 for 6.14; AdamW 6.26, 6.01; one seed).
    """

    carries = True
    config: section.Recurrent

    def __init__(self, family: CellType, config: section.Recurrent, *, vocabulary: int, context: int) -> None:
        super().__init__()
        self.family = family
        self.cell = family
        self.config = config
        self.vocabulary = vocabulary
        self.context = context
        hidden = config.hidden or config.width
        widths = [config.width, *[hidden] * (config.layers - 1), config.width if config.tied else hidden]
        self.embed = nn.Embedding(vocabulary, config.width)
        self.layers = nn.ModuleList(
            RecurrentLayer(
                family, *wide, source=OUTPUT_RMS[family] if n else EMBEDDING_RMS, weight_dropout=config.weight_dropout
            )
            for n, wide in enumerate(zip(widths, widths[1:], strict=False))
        )
        self.head = None if config.tied else nn.Linear(widths[-1], vocabulary, bias=False)
        nn.init.uniform_(self.embed.weight, -SPREAD, SPREAD)
        if self.head is not None:
            nn.init.uniform_(self.head.weight, -SPREAD, SPREAD)

    def forward(self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        x, self.state = self._read(tokens, self.state)
        flat = x.reshape(-1, x.shape[-1])
        flat_targets = targets.t().reshape(-1)
        return head_loss(flat, self._head(), flat_targets, label_smoothing=label_smoothing)

    def hidden(self, tokens: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        """The last layer on rows that start from a zero state: B, T, C. It is causal, so lengths do not matter."""
        return self._read(tokens, None)[0].transpose(0, 1)

    def logits(self, tokens: Tensor, cache: RecurrentCache | None = None) -> Tensor:
        x, after = self._read(tokens, cache.state if cache else None)
        if cache is not None:
            cache.state = after
        return scores(x.transpose(0, 1), self._head())

    def cache(self) -> RecurrentCache:
        return RecurrentCache()

    def _read(self, tokens: Tensor, state: RecurrentState | None) -> tuple[Tensor, RecurrentState]:
        """The outputs of the last layer, T, B, C, and the final state of all layers."""
        x = self._embedded(tokens.t())
        final = RecurrentState()
        each = STATE_TENSORS[self.cell]
        for n, layer in enumerate(self.layers):
            x, layer_state = layer(x, state[n * each : (n + 1) * each] if state else None)
            x = drop_features(x, self.config.dropout if self.training else 0.0)
            final += layer_state
        return x, final

    def _embedded(self, tokens: Tensor) -> Tensor:
        """Embeddings with dropout of whole words: a dropped word is dropped in every row."""
        x: Tensor = self.embed(tokens)
        rate = self.config.embedding_dropout if self.training else 0.0
        return x * dropout(x.new_ones(self.vocabulary, 1), rate)[tokens] if rate else x

    def _head(self) -> Tensor:
        weight: Tensor = self.embed.weight if self.head is None else self.head.weight
        return weight


Rnn, Lstm, Gru = partial(Recurrent, "rnn"), partial(Recurrent, "lstm"), partial(Recurrent, "gru")
