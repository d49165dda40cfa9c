"""The options of models in a local folder of `transformers`: a sequence classifier, and an embedding. Pydantic only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt

from pipeline.core.config import UserPath, one_of
from pipeline.core.files import JsonObject
from training.annotation.options import ScorerOptions
from training.annotation.text_sets import TextSet

CONFIG = "config.json"


class ModelFolder(ScorerOptions):
    """A folder that `save_pretrained` wrote, with weights in safetensors and its tokenizer.json; its code is never run.

    `max_length`: tokens of a window, special tokens included. `windows`: how many windows of a longer document are
    scored, from its beginning; its score is their mean, weighted by tokens. 1 is the beginning alone, null the whole.
    """

    TASK_BYTES: ClassVar[int] = 256 << 10
    FOLDER: ClassVar[str] = "folder"

    folder: UserPath
    max_length: int = Field(default=512, ge=8)
    windows: PositiveInt | None = 1

    def problems(self) -> Iterator[tuple[str, str]]:
        longest = longest_window(self.config())
        if longest is not None and self.max_length > longest:
            yield "max_length", f"is {self.max_length:,}, and the model has positions for {longest:,}. Write {longest}."

    def config(self) -> JsonObject:
        """The model's config.json."""
        config: JsonObject = json.loads((Path(self.folder) / CONFIG).read_text(encoding="utf-8"))
        return config


class FolderClassifier(ModelFolder):
    """A model with a classification head. One output is the score itself; of several, the probability of `label` (a
    name or a number of the model's own) is."""

    label: Annotated[str | int, one_of("the name or the number of a label")] | None = None

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from super().problems()
        names = label_names(self.config())
        known = ", ".join(names)
        if len(names) > 1 and self.label is None:
            yield "label", f"is missing: the model has {len(names)} outputs ({known}). Name the one that counts."
        elif self.label is not None and label_number(names, self.label) is None:
            yield "label", f"the model has no label {self.label!r}. It has {known}."


class FolderPooling(ModelFolder):
    """A model that gives texts vectors. `pooling`: a vector is the mean over a text's tokens, or the state of the first
    ("cls") or the last token."""

    pooling: Literal["mean", "cls", "last"] = "mean"


class FolderEmbedding(FolderPooling):
    """The cosine between a document's vector and the mean vector of the texts `near`, each scaled to length 1.

    `pooling`: a vector is the mean over a text's tokens, or the state of the first ("cls") or the last token.
    """

    TEXTS: ClassVar[tuple[str, ...]] = ("near",)

    near: TextSet


def longest_window(config: JsonObject) -> int | None:
    """The number of positions of a model; None where its config names none."""
    positions = config.get("max_position_embeddings") or config.get("n_positions")
    if not isinstance(positions, int):
        return None
    padding = config.get("pad_token_id")
    # RoBERTa counts positions from the one after the id of its padding token
    offset = int(padding) + 1 if "roberta" in str(config.get("model_type")) and isinstance(padding, int) else 0
    return positions - offset


def label_names(config: JsonObject) -> list[str]:
    """The labels in the order of the outputs; two where the config names none, as the library has it."""
    names = config.get("id2label")
    if isinstance(names, dict) and names:
        return [str(names[key]) for key in sorted(names, key=int)]
    return ["LABEL_0", "LABEL_1"]


def label_number(names: list[str], label: str | int) -> int | None:
    """The output that a label means: by its name, or its number."""
    if str(label) in names:
        return names.index(str(label))
    number = int(label) if str(label).isdecimal() else -1
    return number if 0 <= number < len(names) else None
