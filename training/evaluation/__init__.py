"""What is asked of a finished model. One file a task; its options are in `section.py`, without torch."""

from __future__ import annotations

from pipeline.core.registry import Registry

_OPTIONS, _CODE = "training.evaluation.section", "training.evaluation"

# the options of a task, loadable without torch; and its code
SECTIONS = Registry(
    "evaluation task",
    {
        "perplexity": f"{_OPTIONS}:Perplexity",
        "samples": f"{_OPTIONS}:Samples",
        "fill": f"{_OPTIONS}:Fill",
        "similarity": f"{_OPTIONS}:Similarity",
        "analogies": f"{_OPTIONS}:Analogies",
        "neighbours": f"{_OPTIONS}:Neighbours",
        "embeddings": f"{_OPTIONS}:Embeddings",
        "probe": f"{_OPTIONS}:Probe",
    },
)
TASKS = Registry(
    "evaluation task",
    {
        "perplexity": f"{_CODE}.perplexity:Perplexity",
        "samples": f"{_CODE}.samples:Samples",
        "fill": f"{_CODE}.fill:Fill",
        "similarity": f"{_CODE}.similarity:Similarity",
        "analogies": f"{_CODE}.analogies:Analogies",
        "neighbours": f"{_CODE}.neighbours:Neighbours",
        "embeddings": f"{_CODE}.embeddings:Embeddings",
        "probe": f"{_CODE}.probe:Probe",
    },
)
