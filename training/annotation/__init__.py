"""Models that score documents, by name. A new one is a file with its section, one with its class, and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.core.registry import Entry, Registry

if TYPE_CHECKING:
    from training.annotation.base import Scorer

_HERE = "training.annotation"

SCORERS: Registry[Scorer] = Registry(
    "annotation model",
    (
        Entry("bloomery", f"{_HERE}.bloomery_section:BloomeryModel", f"{_HERE}.bloomery_model:BitsPerByte"),
        Entry("classifier", f"{_HERE}.classifier_section:ClassifierOptions", f"{_HERE}.classifier:QualityClassifier"),
        Entry("embedding", f"{_HERE}.huggingface_section:FolderEmbedding", f"{_HERE}.huggingface:EmbeddingSimilarity"),
        Entry("ngram", f"{_HERE}.ngram_section:NgramOptions", f"{_HERE}.ngram:NgramPerplexity"),
        Entry(
            "transformers", f"{_HERE}.huggingface_section:FolderClassifier", f"{_HERE}.huggingface:SequenceClassifier"
        ),
    ),
    base="training.annotation.base:Scorer",
    options="training.annotation.options:ScorerOptions",
)
