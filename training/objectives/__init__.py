"""Objectives: what a model predicts. One file each; those of word vectors are implemented in training/vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.core.registry import Entry, Registry

if TYPE_CHECKING:
    from training.objectives.base import Objective

_OPTIONS, _CODE = "training.objectives.section", "training.objectives"

OBJECTIVES: Registry[Objective] = Registry(
    "objective",
    (
        Entry("causal", f"{_OPTIONS}:Causal", f"{_CODE}.causal:Causal"),
        Entry("masked", f"{_OPTIONS}:Masked", f"{_CODE}.masked:Masked"),
        Entry("bidirectional", f"{_OPTIONS}:Bidirectional", f"{_CODE}.bidirectional:Bidirectional"),
        Entry("contrastive", f"{_OPTIONS}:Contrastive", f"{_CODE}.contrastive:Contrastive"),
        # skip-gram, CBOW and GloVe update vectors row by row, without a graph: training/vectors
        Entry("skipgram", f"{_OPTIONS}:Skipgram"),
        Entry("cbow", f"{_OPTIONS}:Cbow"),
        Entry("glove", f"{_OPTIONS}:Glove"),
    ),
    base="training.objectives.base:Objective",
)
