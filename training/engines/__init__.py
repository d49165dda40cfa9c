"""Engines: how gradients are reduced and weights updated. Optimizers and schedules are the same in every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.core.registry import Entry, Registry

if TYPE_CHECKING:
    from training.engines.base import Engine
    from training.engines.rules import UpdateRule
    from training.engines.section import Adamw, Muon, Schedule

_OPTIONS = "training.engines.section"

ENGINES: Registry[Engine] = Registry(
    "engine",
    (
        Entry("plain", f"{_OPTIONS}:Plain", "training.engines.plain:Plain"),
        Entry("zero", f"{_OPTIONS}:Zero", "training.engines.zero:Zero"),
        # word vectors have no engine: blocks say how a batch is split (training/vectors)
        Entry("blocks", f"{_OPTIONS}:Blocks"),
    ),
    base="training.engines.base:Engine",
)
# `Optimizer` implements AdamW and Muon, the loops of word vectors SGD and AdaGrad
OPTIMIZERS: Registry[Adamw | Muon | UpdateRule] = Registry(
    "optimizer",
    (
        Entry("adamw", f"{_OPTIONS}:Adamw", f"{_OPTIONS}:Adamw"),
        Entry("muon", f"{_OPTIONS}:Muon", f"{_OPTIONS}:Muon"),
        Entry("sgd", f"{_OPTIONS}:Sgd"),
        Entry("adagrad", f"{_OPTIONS}:Adagrad"),
    ),
    base="training.engines.rules:UpdateRule",
)
# a schedule is its own section
SCHEDULES: Registry[Schedule] = Registry(
    "schedule",
    (
        Entry("wsd", f"{_OPTIONS}:Wsd", f"{_OPTIONS}:Wsd"),
        Entry("cosine", f"{_OPTIONS}:Cosine", f"{_OPTIONS}:Cosine"),
        Entry("linear", f"{_OPTIONS}:Linear", f"{_OPTIONS}:Linear"),
        Entry("constant", f"{_OPTIONS}:Constant", f"{_OPTIONS}:Constant"),
    ),
    base="training.engines.section:Schedule",
)
