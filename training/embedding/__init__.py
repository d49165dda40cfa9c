"""Models that give documents vectors, by name. A new one is a section, a file with its class, and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.core.registry import Entry, Registry

if TYPE_CHECKING:
    from training.embedding.base import Embedder

_HERE = "training.embedding"

EMBEDDERS: Registry[Embedder] = Registry(
    "embedding model",
    (
        Entry("bloomery", f"{_HERE}.models_section:BloomeryVectors", f"{_HERE}.bloomery_vectors:BloomeryEmbedder"),
        Entry("hashed", f"{_HERE}.models_section:HashedVectors", f"{_HERE}.hashed:HashedEmbedder"),
        Entry("transformers", f"{_HERE}.models_section:FolderPooling", f"{_HERE}.folder_vectors:FolderEmbedder"),
        Entry("word_vectors", f"{_HERE}.models_section:MeanOfWords", f"{_HERE}.mean_of_words:WordEmbedder"),
    ),
    base="training.embedding.base:Embedder",
    options="training.annotation.options:ScorerOptions",
)
