"""Objectives: what is predicted from what. One file an objective."""

from __future__ import annotations

from pipeline.core.registry import Registry

SECTIONS = Registry("objective", {"causal": "training.objectives.section:Causal"})
OBJECTIVES = Registry("objective", {"causal": "training.objectives.causal:Causal"})
