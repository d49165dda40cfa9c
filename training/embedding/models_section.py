"""The options of the models that give documents vectors. Pydantic only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from pipeline.core.config import UserPath
from pipeline.core.files import read_json
from pipeline.core.named_artifact import artifact_named
from training.annotation.bloomery_section import CONFIG
from training.annotation.huggingface_section import FolderPooling
from training.annotation.options import ScorerOptions

LEAST_NGRAMS = 8  # distinct ones, of a document that gets a vector
WORD_FAMILIES = ("word2vec", "glove")
__all__ = ["BloomeryVectors", "FolderPooling", "HashedVectors", "MeanOfWords"]


class HashedVectors(ScorerOptions):
    """The distinct n-grams of `ngrams` units (a word, or a character of a script without spaces), each hashed to one of
    `width` numbers with a sign. No model: documents are alike when they share much of their wording. A document with
    fewer than 8 distinct n-grams has no vector."""

    UNICODE: ClassVar[bool] = True

    width: int = Field(512, ge=64, le=4096, multiple_of=8)
    ngrams: int = Field(2, ge=1, le=8)


class ArtifactVectors(ScorerOptions):
    """The base of models of another run. `artifact`: the folder or the URL of a model artifact, or of a work directory
    that holds one model."""

    ARTIFACT: ClassVar[str] = "artifact"

    artifact: UserPath

    def problems(self) -> Iterator[tuple[str, str]]:
        model = artifact_named(self.artifact, "artifact")
        if not model.has(CONFIG):
            yield "artifact", f"{self.artifact} is no model: it has no {CONFIG}."
            return
        if problem := self.family_problem(str(read_json(model.file(CONFIG))["family"])):
            yield "artifact", problem

    def family_problem(self, family: str) -> str:
        """Why a model of this family gives no vectors; empty if it does."""
        return ""


class BloomeryVectors(ArtifactVectors):
    """The mean over a text's tokens of the last layer of a model, best one trained with the objective contrastive."""

    TASK_BYTES: ClassVar[int] = 256 << 10

    def family_problem(self, family: str) -> str:
        names = "Name a gpt, bert or lstm, or use the model word_vectors."
        return f"a {family} has vectors of words alone. {names}" if family in WORD_FAMILIES else ""


class MeanOfWords(ArtifactVectors):
    """The mean of the vectors of a text's words, each weighted by a / (a + its frequency), with `a` = `weight`: SIF
    (Arora et al. 2017) without the step that removes what all texts have in common."""

    weight: float = Field(1e-3, gt=0, le=1)

    def family_problem(self, family: str) -> str:
        names = " or ".join(WORD_FAMILIES)
        return "" if family in WORD_FAMILIES else f"a {family} has no vectors of words. Name a {names}."
