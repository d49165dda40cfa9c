"""Engines: how a step's gradients meet and its weights move. Optimizers and schedules are the same in every engine."""

from __future__ import annotations

from pipeline.core.registry import Registry

SECTIONS = Registry(
    "engine",
    {
        "plain": "training.engines.section:Plain",
        "zero": "training.engines.section:Zero",
        "blocks": "training.engines.section:Blocks",
    },
)
# word vectors have no engine: blocks are a way to cut a batch (training/vectors)
ENGINES = Registry("engine", {"plain": "training.engines.plain:Plain", "zero": "training.engines.zero:Zero"})
_OPTIMIZERS, _SCHEDULES = ("adamw", "muon", "sgd", "adagrad"), ("wsd", "cosine", "linear", "constant")
OPTIMIZERS = Registry("optimizer", {name: f"training.engines.section:{name.title()}" for name in _OPTIMIZERS})
SCHEDULES = Registry("schedule", {name: f"training.engines.section:{name.title()}" for name in _SCHEDULES})
