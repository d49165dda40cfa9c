"""Engines: how a step's gradients meet and its weights move. Optimizers and schedules are the same in every engine."""

from __future__ import annotations

from pipeline.core.registry import Registry

SECTIONS = Registry("engine", {"plain": "training.engines.section:Plain", "zero": "training.engines.section:Zero"})
ENGINES = Registry("engine", {"plain": "training.engines.plain:Plain", "zero": "training.engines.zero:Zero"})
OPTIMIZERS = Registry("optimizer", {name: f"training.engines.section:{name.title()}" for name in ("adamw", "muon")})
SCHEDULES = Registry("schedule", {name: f"training.engines.section:{name.title()}" for name in ("wsd", "cosine")})
