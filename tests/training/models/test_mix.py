"""The learned mix of a model's layers."""

from __future__ import annotations

import torch

from training.models.mix import Mix


def test_a_mix_begins_as_the_mean_of_the_layers() -> None:
    layers = torch.randn(3, 2, 5, 8)
    mixed = Mix(3)(layers)
    assert torch.allclose(mixed, layers.mean(0), atol=1e-6)


def test_a_mix_learns_which_layer_a_task_wants() -> None:
    torch.manual_seed(0)
    layers, mix = torch.randn(3, 40, 8), Mix(3)
    optimizer = torch.optim.Adam(mix.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        (mix(layers) - 2 * layers[1]).square().mean().backward()
        optimizer.step()
    shares = mix.shares()
    assert shares.argmax() == 1 and shares[1] > 0.9 and torch.allclose(shares.sum(), torch.ones(()))
    assert 1.7 < mix.gamma.item() < 2.3
