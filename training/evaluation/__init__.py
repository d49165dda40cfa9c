"""What is asked of a finished model. One file a task; its options are in `section.py`, without torch."""

from __future__ import annotations

from pipeline.core.registry import Registry

# the options of a task, loadable without torch; and its code
SECTIONS = Registry(
    "evaluation task",
    {"perplexity": "training.evaluation.section:Perplexity", "samples": "training.evaluation.section:Samples"},
)
TASKS = Registry(
    "evaluation task",
    {"perplexity": "training.evaluation.perplexity:Perplexity", "samples": "training.evaluation.samples:Samples"},
)
