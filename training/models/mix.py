"""What a task makes of a model's layers: their weighted sum, of which the weights are learned (ELMo, equation 1).

    mixed = gamma × sum over layers of softmax(w)[layer] × layers[layer]      (Peters et al. 2018, arXiv 1802.05365)

It begins as the mean of the layers and has layers + 1 numbers; the model itself stays as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Mix(nn.Module):
    """`weights`: one a layer, `gamma`: the scale of all; both learned by the task that uses it."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.weights, self.gamma = nn.Parameter(torch.zeros(layers)), nn.Parameter(torch.ones(()))

    def shares(self) -> Tensor:
        """How much of each layer is taken; they add up to one."""
        return torch.softmax(self.weights, dim=0)

    def forward(self, layers: Tensor) -> Tensor:
        """One vector for each token. layers: L, …, C (`Bilstm.layers`); returns …, C."""
        mixed: Tensor = self.gamma * torch.tensordot(self.shares(), layers, dims=1)
        return mixed
