"""The evaluation tasks, by name. A new task is a file with its options and its class, and one line in this table.

The options of the tasks below are in `section.py`, which does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.core.registry import Entry, Registry

if TYPE_CHECKING:
    from training.evaluation.base import AnyTask

_OPTIONS, _CODE = "training.evaluation.section", "training.evaluation"

TASKS: Registry[AnyTask] = Registry(
    "evaluation task",
    (
        Entry("perplexity", f"{_OPTIONS}:Perplexity", f"{_CODE}.perplexity:Perplexity"),
        Entry("samples", f"{_OPTIONS}:Samples", f"{_CODE}.samples:Samples"),
        Entry("fill", f"{_OPTIONS}:Fill", f"{_CODE}.fill:Fill"),
        Entry("similarity", f"{_OPTIONS}:Similarity", f"{_CODE}.similarity:Similarity"),
        Entry("analogies", f"{_OPTIONS}:Analogies", f"{_CODE}.analogies:Analogies"),
        Entry("neighbours", f"{_OPTIONS}:Neighbours", f"{_CODE}.neighbours:Neighbours"),
        Entry("embeddings", f"{_OPTIONS}:Embeddings", f"{_CODE}.embeddings:Embeddings"),
        Entry("probe", f"{_OPTIONS}:Probe", f"{_CODE}.probe:Probe"),
    ),
    base="training.evaluation.base:EvaluationTask",
)
