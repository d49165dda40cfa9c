"""Objectives: what is predicted from what. One file an objective; those of word vectors are loops of their own."""

from __future__ import annotations

from pipeline.core.registry import Registry

_NAMES = ("causal", "masked", "bidirectional", "contrastive", "skipgram", "cbow", "glove")

SECTIONS = Registry("objective", {name: f"training.objectives.section:{name.title()}" for name in _NAMES})
# skip-gram, CBOW and GloVe move vectors row by row, without a graph: training/vectors
OBJECTIVES = Registry("objective", {name: f"training.objectives.{name}:{name.title()}" for name in _NAMES[:4]})
