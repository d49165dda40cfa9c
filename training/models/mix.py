"""The weighted sum of a model's layers, with learned weights (ELMo, equation 1).

    mixed = gamma × sum over layers of softmax(w)[layer] × layers[layer]      (Peters et al. 2018, arXiv 1802.05365)

It starts as the mean of the layers and has layers + 1 parameters; the model itself is not changed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Mix(nn.Module):
    """`weights`: one a layer, `gamma`: the scale of all; both learned by the task that uses it."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(layers))
        self.gamma = nn.Parameter(torch.ones(()))

    def shares(self) -> Tensor:
        """The weight of each layer; they add up to one."""
        return torch.softmax(self.weights, dim=0)

    def forward(self, layers: Tensor) -> Tensor:
        """One vector for each token. layers: L, …, C (`Bilstm.layers`); returns …, C."""
        mixed: Tensor = self.gamma * torch.tensordot(self.shares(), layers, dims=1)
        return mixed
