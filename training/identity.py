"""The identity of a model before it is trained: the parameters in its fingerprint, and the artifacts it reads."""

from __future__ import annotations

from pathlib import Path

from pipeline.core.files import JsonObject
from pipeline.core.job import SourceFiles
from training.models.sections import hf
from training.objectives import special_tokens
from training.section import STEPS, Anomalies, Pretrain

MODEL_FOLDER = "model"  # the source for a model folder of the user
WORDS = "words"  # the word boundaries of a masked objective
EXTERNALS = ("init", "init_embeddings")
# options added after the first artifacts were made, with the value that keeps the fingerprints of those artifacts
ADDED_LATER: JsonObject = {
    "epochs": None, "augment": [], "init": None, "init_embeddings": None, "mixture": None, "document_mask": False,
    "skip_rows": [], "anomalies": Anomalies().model_dump(mode="json"), "reduction": "engine", "micro_batches": None,
}  # fmt: skip


def pretrain_params(section: Pretrain, seed: int) -> JsonObject:
    """The parameters in the fingerprint: the section, and the seed of weights, order and dropout.

    The paths of other artifacts are not among them; their digests are, as inputs (`externals`).
    """
    params = {key: value for key, value in section.model_dump(mode="json").items()
              if key not in ADDED_LATER or value != ADDED_LATER[key]}  # fmt: skip
    if "init" in params:
        params["init"] = True
    if "init_embeddings" in params:
        params["init_embeddings"] = {k: v for k, v in params["init_embeddings"].items() if k != "artifact"}
    if section.model.options.get("folder"):
        params["model"] = {"hf": {**section.model.options, "folder": hf.fingerprint_of(hf.Hf(**section.model.options))}}
    if params["steps"] is None:
        params["steps"] = STEPS if section.epochs is None else None
    if words := special_tokens.fingerprint_params(section.objective):
        params[WORDS] = words
    return {**params, "seed": seed}


def file_sources(section: Pretrain) -> list[SourceFiles]:
    """The folder whose content `pretrain_params` identifies."""
    folder = section.model.options.get("folder")
    if not folder:
        return []
    return [{"source": MODEL_FOLDER, "reader": "file", "folder": str(Path(folder).absolute()), "files": []}]


def externals(section: Pretrain) -> dict[str, str]:
    """Artifacts of other runs that are read: their purpose (one of EXTERNALS), and the folder as the user wrote it."""
    embeddings = section.init_embeddings.artifact if section.init_embeddings else None
    folders = (section.init, embeddings)
    return {name: folder for name, folder in zip(EXTERNALS, folders, strict=True) if folder}
