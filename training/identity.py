"""What identifies a model before it is trained: what enters the fingerprint of `pretrain`, and what it reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.core.job import SourceFiles
from training.models.sections import hf
from training.objectives import special_tokens
from training.section import STEPS, Pretrain

MODEL_FOLDER = "model"  # the source that is a model folder of the user's
WORDS = "words"  # what a masked objective takes for words
# what came after the first artifacts were made, and the value that means what was done before
EXTERNALS = ("init", "init_embeddings")
ADDED_LATER: dict[str, Any] = {"epochs": None, "augment": [], "init": None, "init_embeddings": None}


def pretrain_params(section: Pretrain, seed: int) -> dict[str, Any]:
    """What enters the fingerprint: the section, and the seed of weights, order and dropout.

    Where other artifacts lie does not enter; what they are does, as inputs (`externals`).
    """
    found = {key: value for key, value in section.model_dump(mode="json").items()
             if key not in ADDED_LATER or value != ADDED_LATER[key]}  # fmt: skip
    if "init" in found:
        found["init"] = True
    if "init_embeddings" in found:
        found["init_embeddings"] = {k: v for k, v in found["init_embeddings"].items() if k != "artifact"}
    if section.model.options.get("folder"):
        found["model"] = {"hf": {**section.model.options, "folder": hf.fingerprint_of(hf.Hf(**section.model.options))}}
    if found["steps"] is None:
        found["steps"] = STEPS if section.epochs is None else None
    if words := special_tokens.fingerprint_params(section.objective):
        found[WORDS] = words
    return {**found, "seed": seed}


def file_sources(section: Pretrain) -> list[SourceFiles]:
    """Where the folder lies whose content `pretrain_params` names."""
    folder = section.model.options.get("folder")
    if not folder:
        return []
    return [{"source": MODEL_FOLDER, "reader": "file", "folder": str(Path(folder).absolute()), "files": []}]


def externals(section: Pretrain) -> dict[str, str]:
    """Artifacts of other runs that are read: what for (one of EXTERNALS), and the folder as the user wrote it."""
    embeddings = section.init_embeddings.artifact if section.init_embeddings else None
    found = (section.init, embeddings)
    return {name: folder for name, folder in zip(EXTERNALS, found, strict=True) if folder}
