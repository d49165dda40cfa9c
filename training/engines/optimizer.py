"""The optimizers and their schedules: one formula, whether an engine holds weights whole or as a flat share of all.

AdamW is elementwise and does not care. Muon needs whole matrices: where an engine shares the weights out, it gives a
`Share` that brings a matrix together for the step and takes its own part back. Momentum stays where the weights are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, get_args

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from pipeline.core.config import Component
from pipeline.core.errors import UserError
from training.engines import SCHEDULES
from training.engines.rules import UpdateRule
from training.engines.section import Adamw, Muon
from training.models.base import Kind

# Newton-Schulz as in Jordan 2024 (kellerjordan.github.io/posts/muon): singular values end between about 0.7 and 1.2
QUINTIC, ROUNDS = (3.4445, -4.7750, 2.0315), 5


class Share(Protocol):
    """How the flat tensor of an engine stands for matrices that lie spread over the workers."""

    def gather(self, flat: Tensor) -> list[Tensor | None]:
        """The matrices of which a part lies here, whole (a collective call); None for the others."""

    def take(self, matrices: Sequence[Tensor | None], like: Tensor) -> Tensor:
        """The part of these matrices that lies here, flat, as long as `like`."""


class Optimizer(torch.optim.Optimizer):
    """AdamW for embeddings and vectors, AdamW or Muon for the matrices of the blocks; or one rule of a user's own.

    The learning rates of a step are set by `at` and nowhere else, so there is no scheduler state to save; a fresh one's
    rate is 0. `shares` maps a flat tensor to its matrices; empty where parameters are whole. `norm` gives the norm of
    the whole gradient, over all groups and workers, which only the engine knows; it is clipped here. `resting` says for
    how many steps a parameter stays as it came.
    """

    def __init__(
        self, model: nn.Module, kinds: Mapping[str, Kind], config: Adamw | Muon | UpdateRule, *, dtype: torch.dtype,
        clip: float, resting: Mapping[str, int] | None = None,
    ) -> None:  # fmt: skip
        self.own = config if isinstance(config, UpdateRule) else None
        self.dtype = dtype  # in which Newton-Schulz runs
        self.clip = clip
        self.norm: Callable[[], Tensor] = lambda: torch.zeros(())
        self.shares: dict[int, Share] = {}
        named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        groups = []
        for kind in get_args(Kind):
            for names, rests in _by_rest([name for name in named if kinds[name] == kind], resting or {}):
                rule = {**_rule(kind, config), "rests": rests}
                groups.append({"params": [named[name] for name in names], "names": names, **rule})
        super().__init__(groups, {"lr": 0.0})

    def at(self, step: int, factor: float) -> float:
        """Set up step number `step` (from 0) with every peak rate times `factor`; returns the first group's rate."""
        for group in self.param_groups:
            group["lr"], group["number"] = group["peak"] * factor, step + 1
        return float(self.param_groups[0]["lr"])

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if group["number"] <= group["rests"]:
                continue
            if self.clip and parameters:
                scale = clip_scale(self.norm(), self.clip)
                for p in parameters:
                    _gradient(p).mul_(scale)
            if not parameters:
                continue
            if self.own is not None:
                self._own(self.own, parameters, group)
            else:
                (self._muon if group["rule"] == "muon" else self._adamw)(parameters, group)

    def _adamw(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        first = [self._kept(p, "first") for p in parameters]
        second = [self._kept(p, "second") for p in parameters]
        # the kernel counts the step itself, in a tensor for each parameter
        before = [torch.full((), group["number"] - 1.0, device=p.device) for p in parameters]
        adamw(
            parameters, [_gradient(p) for p in parameters], first, second, [], before, fused=True, amsgrad=False,
            beta1=group["beta1"], beta2=group["beta2"], lr=group["lr"], weight_decay=group["weight_decay"],
            eps=group["eps"], maximize=False,
        )  # fmt: skip

    def _muon(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        for p in parameters:
            momentum, gradient = self._kept(p, "first"), _gradient(p)
            momentum.mul_(group["momentum"]).add_(gradient)
            update = gradient.add(momentum, alpha=group["momentum"])  # Nesterov: one step ahead
            share = self.shares.get(id(p))
            update = update.to(self.dtype)
            if share is None:
                turned = self._orthogonal(update)
            else:
                whole = [None if matrix is None else self._orthogonal(matrix) for matrix in share.gather(update)]
                turned = share.take(whole, update)
            p.mul_(1 - group["lr"] * group["weight_decay"]).add_(turned, alpha=-group["lr"])

    def _own(self, rule: UpdateRule, parameters: list[Tensor], group: dict[str, Any]) -> None:
        for p in parameters:
            state, options = partial(self._kept, p), {"lr": group["lr"], "weight_decay": group["weight_decay"]}
            rule.update(p, _gradient(p), state, step=group["number"], **options)

    @staticmethod
    def _orthogonal(matrix: Tensor) -> Tensor:
        # a tall matrix has fewer directions to move in, each gets more (Jordan 2024)
        return orthogonal(matrix) * math.sqrt(max(1.0, matrix.shape[0] / matrix.shape[1]))

    def _kept(self, p: Tensor, name: str) -> Tensor:
        state = self.state[p]
        if name not in state:
            state[name] = torch.zeros_like(p, memory_format=torch.preserve_format)
        kept: Tensor = state[name]
        return kept


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix whose singular values are about 1, by Newton-Schulz, in the precision of `matrix`.

    Costs 5 × (4 m² n + 2 m³) operations for m ≤ n: about 6 m / (batch tokens) of what its gradient cost.
    """
    a, b, c = QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.t() if tall else matrix
    # the norm in fp32: a sum of squares in bf16 stops growing after a few hundred terms
    x = x / torch.linalg.vector_norm(x, dtype=torch.float32).clamp_min(1e-7).to(x.dtype)
    for _ in range(ROUNDS):
        gram = x @ x.t()
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.t() if tall else x


def total_norm(gradients: Sequence[Tensor]) -> Tensor:
    """The norm of all of them as one vector; in float64, since float32 on a CPU is 4e-4 off for 10 M numbers."""
    norms = [torch.linalg.vector_norm(gradient, dtype=torch.float64) for gradient in gradients]
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms)).float()
    return norm


def clip_scale(norm: Tensor, most: float) -> Tensor:
    """What a gradient of this norm is multiplied with so that it has at most norm `most`.

    Cut to 12 bits: the last bits of a norm depend on how the gradient lies over the workers, and must not decide where
    a run goes. So engines agree to the bit, at a clip that is up to 1/4,000 tighter.
    """
    scale: Tensor = (most / norm.float().clamp_min(1e-12)).clamp_max(1.0)
    return scale.view(torch.int32).bitwise_and(-(1 << 11)).view(torch.float32)


def factor(step: int, steps: int, schedule: Component) -> float:
    """The learning rate of step `step` (from 0) of `steps`, as a fraction of its peak: a pure function.

    Raises: UserError when a schedule of a user's own gives no finite number.
    """
    fraction = float(SCHEDULES.create(schedule).factor(step, steps))
    if not math.isfinite(fraction):
        raise UserError(f"pretrain.schedule: {schedule.name} gives {fraction} for step {step} of {steps}.")
    return fraction


def _rule(kind: Kind, config: Adamw | Muon | UpdateRule) -> dict[str, Any]:
    if isinstance(config, UpdateRule):
        return {"rule": "own", "number": 1, "peak": config.rate(kind), "weight_decay": config.decay(kind)}
    adam = {"rule": "adamw", "beta1": config.beta1, "beta2": config.beta2, "eps": config.eps, "number": 1}
    if isinstance(config, Adamw):
        return {**adam, "peak": config.lr, "weight_decay": _decay(config, kind)}
    if kind == "matrix":
        rule = {"rule": "muon", "momentum": config.momentum, "number": 1}
        return {**rule, "peak": config.lr, "weight_decay": _decay(config, kind)}
    return {**adam, "peak": config.rest_lr, "weight_decay": _decay(config, kind)}


def _by_rest(names: Sequence[str], resting: Mapping[str, int]) -> list[tuple[list[str], int]]:
    """Parameters of a kind that rest equally long."""
    rests = sorted({resting.get(name, 0) for name in names})
    return [([name for name in names if resting.get(name, 0) == steps], steps) for steps in rests]


def _decay(config: Adamw | Muon, kind: Kind) -> float:
    """A single number falls on matrices alone."""
    if isinstance(config.weight_decay, float):
        return config.weight_decay if kind == "matrix" else 0.0
    return float(getattr(config.weight_decay, kind))


def _gradient(p: Tensor) -> Tensor:
    assert p.grad is not None
    return p.grad
