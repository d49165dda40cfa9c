"""The options of a Bloomery model that scores documents. Pydantic only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import PositiveInt

from pipeline.core.config import UserPath
from pipeline.core.files import read_json
from pipeline.core.named_artifact import artifact_named
from training.annotation.options import ScorerOptions
from training.families import sampling_problem

CONFIG = "model/config.json"


class BloomeryModel(ScorerOptions):
    """The bits per byte of a document under a model of another run, which predicts each token from those before it.

    `artifact`: the folder or the URL of a model artifact, or of a work directory that holds one model. `windows`: how
    many windows of the model's context are read of a longer document, from its beginning; null is the whole.
    """

    TASK_BYTES: ClassVar[int] = 256 << 10
    ARTIFACT: ClassVar[str] = "artifact"

    artifact: UserPath
    windows: PositiveInt | None = 1

    def problems(self) -> Iterator[tuple[str, str]]:
        model = artifact_named(self.artifact, "artifact")
        if not model.has(CONFIG):
            yield "artifact", f"{self.artifact} is no model: it has no {CONFIG}."
            return
        config = read_json(model.file(CONFIG))
        if config["family"] == "hf" and config["options"].get("head") == "masked":
            yield "artifact", "the model fills gaps and predicts no text. Name one with the objective causal."
        elif sampling_problem(config["family"]):
            yield "artifact", f"a {config['family']} does not predict text from left to right. Name a causal model."
