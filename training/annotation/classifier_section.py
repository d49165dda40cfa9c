"""The options of the annotation model `classifier`. Pydantic only."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.core.config import UserPath
from training.annotation.options import LanguageTag, ScorerOptions
from training.annotation.text_sets import TextSet

CONFIG, WEIGHTS = "config.json", "model.safetensors"


class ClassifierOptions(ScorerOptions):
    """A linear classifier over hashed n-grams of characters, trained on the texts of `good` and `bad`; the score is the
    probability of `good`, if both were equally frequent.

    `folder`: a classifier that an earlier run trained, instead of texts. `languages`: a document of another one has no
    score. Of a longer text than `max_characters` four windows are read. `held_back`: the share of texts that measure
    the model and do not train it. Of each set at most `max_mb` MB are used, the same texts whatever their order.
    `orders`: the model is the mean of so many trainings.
    """

    TASK_BYTES: ClassVar[int] = 64 << 20
    UNICODE: ClassVar[bool] = True
    TEXTS: ClassVar[tuple[str, ...]] = ("good", "bad")
    FOLDER: ClassVar[str] = "folder"

    good: TextSet | None = None
    bad: TextSet | None = None
    folder: UserPath | None = None
    languages: list[LanguageTag] | None = Field(None, min_length=1)
    ngrams: int = Field(4, ge=1, le=8)
    table_bits: int = Field(18, ge=10, le=26)
    max_characters: int = Field(10_000, ge=100, le=10_000_000)
    epochs: int = Field(8, ge=1, le=100)
    orders: int = Field(4, ge=1, le=16)
    held_back: float = Field(0.1, gt=0, le=0.5)
    max_mb: int = Field(64, ge=1, le=4096)

    @model_validator(mode="after")
    def _texts_or_folder(self) -> ClassifierOptions:
        sets = [name for name in ("good", "bad") if getattr(self, name) is not None]
        if self.folder is not None and not sets:
            fields = type(self).model_fields
            changed = [name for name, field in fields.items() if getattr(self, name) != field.default]
            others = [name for name in changed if name not in ("folder", "languages")]
            if others:
                raise _problem(f"{others[0]} belongs to training: with `folder` the model is used as it was trained.")
        elif self.folder is not None or len(sets) < 2:
            raise _problem("write `good` and `bad`, two sets of texts; or `folder`, a classifier of an earlier run.")
        return self

    @classmethod
    def folder_problem(cls, folder: Path) -> str | None:
        """Why the folder holds no classifier, from its names alone; None if it does."""
        for name in (CONFIG, WEIGHTS):
            if not (folder / name).is_file():
                return f"{folder} has no {name}. Name the folder of a trained classifier, as `annotate` writes it."
        return None


def _problem(message: str) -> PydanticCustomError:
    return PydanticCustomError("component", "{message}", {"message": message})
