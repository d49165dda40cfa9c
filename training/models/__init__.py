"""Model families: what turns tokens into a loss. One file a family; its options are in `sections/`, without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.core.registry import Entry, Registry

if TYPE_CHECKING:
    from training.models.base import Model

_OPTIONS, _CODE = "training.models.sections", "training.models"

FAMILIES: Registry[Model] = Registry(
    "model family",
    (
        Entry("gpt", f"{_OPTIONS}.gpt:Gpt", f"{_CODE}.gpt:Gpt"),
        Entry("bert", f"{_OPTIONS}.bert:Bert", f"{_CODE}.bert:Bert"),
        Entry("rnn", f"{_OPTIONS}.recurrent:Recurrent", f"{_CODE}.recurrent:Rnn"),
        Entry("lstm", f"{_OPTIONS}.recurrent:Recurrent", f"{_CODE}.recurrent:Lstm"),
        Entry("gru", f"{_OPTIONS}.recurrent:Recurrent", f"{_CODE}.recurrent:Gru"),
        Entry("bilstm", f"{_OPTIONS}.recurrent:Bilstm", f"{_CODE}.bilstm:Bilstm"),
        Entry("word2vec", f"{_OPTIONS}.vectors:Vectors", f"{_CODE}.vectors:Word2vec"),
        Entry("glove", f"{_OPTIONS}.vectors:Vectors", f"{_CODE}.vectors:Glove"),
        Entry("hf", f"{_OPTIONS}.hf:Hf", f"{_CODE}.hf:Hf"),
    ),
    base="training.models.base:Model",
)
