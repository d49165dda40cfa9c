"""The options of `hf`: any architecture of `transformers` (pydantic and JSON only)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

from pydantic import PositiveInt, model_validator

from pipeline.core.config import Section, UserPath
from pipeline.core.files import JsonObject, JsonValue

CONFIG, TOKENIZER = "config.json", "tokenizer.json"


class Hf(Section):
    """Either `config`, a config.json's content with `model_type` (weights are drawn), or `folder`, a saved model.

    A folder's own code is never run. Its vocabulary must be the tokenizer's: use `tokenizer: {kind: file}`.
    """

    config: JsonObject | None = None
    folder: UserPath | None = None
    context: PositiveInt | None = None  # longest row; None: pack.length
    head: Literal["causal", "masked"] = "causal"  # what it predicts; pretrain fills in its objective

    @model_validator(mode="after")
    def _config_or_folder(self) -> Hf:
        if (self.config is None) == (self.folder is None):
            raise ValueError("write one of config (weights are drawn) and folder (training goes on from its weights)")
        if self.config is not None and not isinstance(self.config.get("model_type"), str):
            raise ValueError("config needs model_type, as a config.json of transformers has it")
        return self


def fingerprint_of(section: Hf) -> dict[str, str]:
    """The identity of a folder by file: sha256 of config.json and of every *.safetensors. Empty without a folder."""
    if section.folder is None:
        return {}
    files = sorted(path for path in Path(section.folder).iterdir() if _is_identity(path))
    return {path.name: _sha256(path) for path in files}


def folder_problem(folder: Path) -> str | None:
    """Why training cannot go on from a folder, from its names and its config.json alone; None if it can."""
    if not (folder / CONFIG).is_file():
        return (
            f"{folder} is no model folder of transformers ({CONFIG} is missing). Name one that save_pretrained wrote."
        )
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        return f"{folder / CONFIG} is not JSON ({error})."
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        return f"{folder / CONFIG} names no model_type, so no class of transformers is meant."
    if "auto_map" in config:
        return f"{folder} brings code of its own (auto_map), which is never run. Use an architecture of transformers."
    if "quantization_config" in config:
        return f"{folder} holds quantised weights, which are not trained. Use the folder they were made from."
    if not any(path.suffix == ".safetensors" for path in folder.iterdir()):
        return f"{folder} holds no *.safetensors; a pickle is never opened. Save it again: save_pretrained(folder)."
    return None


def tokenizer_problem(folder: Path, *, kind: str, path: str | None) -> str | None:
    """Why a model of this folder does not go with a tokenizer (its section's kind and path); None if it can."""
    if kind != "file" or path is None:
        return (
            f"a model's vocabulary is its own tokenizer's, and kind: {kind} learns another. "
            f"Write tokenizer: {{kind: file, path: {folder}}}."
        )
    theirs = folder / TOKENIZER
    ours = Path(path) / TOKENIZER if Path(path).is_dir() else Path(path)
    if theirs.is_file() and ours.is_file() and _vocabulary(theirs) != _vocabulary(ours):
        return f"{ours} has other pieces than {theirs}, with which the model learned. Use that one."
    return None


def vocabulary_problem(theirs: int, ours: int) -> str | None:
    """Why a model of so many tokens does not go with the tokenizer's; None if it does, rounded up to a multiple or not.

    Models come with some more rows than their tokenizer has pieces, for the sake of a multiple of 8: up to the next one
    of 128, or 2 %. More of them, or fewer, are of another tokenizer.
    """
    spare = max(-ours % 128, ours // 50)
    if theirs == ours or (0 < theirs - ours <= spare and theirs % 8 == 0):
        return None
    return (
        f"the model has {theirs:,} tokens and the tokenizer {ours:,}: they are not of each other. Write "
        "tokenizer: {kind: file, path: the model's folder}, or leave vocab_size out of config."
    )


def _vocabulary(tokenizer: Path) -> JsonValue:
    return json.loads(tokenizer.read_text(encoding="utf-8"))["model"].get("vocab")


def _is_identity(path: Path) -> bool:
    return path.name == CONFIG or path.suffix == ".safetensors"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
