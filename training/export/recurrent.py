"""What the exports of recurrent models have in common: files beside the weights, the card, and rows to compare on."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.core.errors import StageFailed
from pipeline.core.files import read_json, replacing
from pipeline.tokenizers.special_tokens import END_OF_SENTENCE, END_OF_TEXT
from training.export.base import Source
from training.models.base import Model
from training.models.bilstm import Bilstm
from training.models.saved import CONFIG, read_weights

TOLERANCE = 1e-4  # between their logits and ours; a second is rarely more than 1e-5
ROWS = 4  # held-out rows, spread over the split, on which logits are compared
FAMILIES = ("rnn", "lstm", "gru", "bilstm")

WORDS = f"""
The tokenizer splits text at white space alone. In training, text had been split into words before: without punctuation,
Chinese by jieba, with `{END_OF_SENTENCE}` after each sentence. Write a prompt in that form.
"""

Rows = NDArray[np.int64]


def described(source: Source, name: str) -> dict[str, Any]:
    """config.json of the saved model.

    Raises: StageFailed when it is no recurrent one.
    """
    found: dict[str, Any] = read_json(source.model / CONFIG)
    if found["family"] not in FAMILIES:
        raise StageFailed(
            f"export: {name}: the model is a {found['family']}; this format is for {', '.join(FAMILIES)}. "
            "Choose another of export.formats."
        )
    return found


def copy(path: Path, folder: Path) -> str:
    """Copy a file into the folder, whole or not at all; its name."""
    with replacing(folder / path.name) as beside:
        shutil.copyfile(path, beside)
    return path.name


def write_card(source: Source, folder: Path, *, use: str, library: str) -> str:
    """README.md, with what a reader wants to know of the model; its name."""
    saved = read_json(source.model / CONFIG)
    parameters = sum(weight.numel() for weight in read_weights(source.model).values())
    figures = {
        "family": saved["family"],
        "parameters": f"{parameters:,}",
        "layers": str(saved["options"]["layers"]),
        "width": str(saved["options"]["width"]),
        "vocabulary": f"{saved['vocabulary']:,}",
        "row of training": f"{saved['context']:,} tokens",
    }
    task = None if saved["family"] == "bilstm" else "text-generation"
    title = f"{saved['family']}, {parameters:,} parameters"
    use = use.replace(END_OF_TEXT, source.end_of_text) + (WORDS if _reads_words(source.tokenizer) else "")
    with replacing(folder / "README.md") as beside:
        text = source.card.text(title=title, figures=figures, use=use, library=library, task=task)
        beside.write_text(text, encoding="utf-8")
    return "README.md"


def _reads_words(tokenizer: Path) -> bool:
    return bool(read_json(tokenizer)["model"]["type"] == "WordLevel")


def rows(source: Source) -> list[Rows]:
    """Real held-out rows, spread over the split, each 1, T."""
    count = source.held_out.row_count
    chosen = sorted({at * (count - 1) // max(1, ROWS - 1) for at in range(ROWS)})
    return [row.tokens[None] for at in chosen for row in source.held_out.rows(at, at + 1)]


def logits(model: Model, tokens: Rows) -> list[Tensor]:
    """What the saved model says to rows, of the tokens that follow and, if it reads both ways, of those before."""
    with torch.inference_mode():
        given = torch.from_numpy(tokens)
        return list(model.directions(given)) if isinstance(model, Bilstm) else [model.logits(given)]


def compare(name: str, pairs: Mapping[str, tuple[Any, Any]]) -> None:
    """Hold what was computed (arrays by what they are) against ours.

    Raises: StageFailed when they differ by more than the tolerance, or are no numbers.
    """
    for what, (theirs, ours) in pairs.items():
        difference = float(np.max(np.abs(np.asarray(theirs) - np.asarray(ours)), initial=0.0))
        if not difference <= TOLERANCE:  # a NaN fails too
            raise StageFailed(
                f"export: {name}: {what} differ by {difference:.2g} from the saved model's on held-out rows, more than "
                f"{TOLERANCE:g}. Nothing was published; please report this with the pretrain.model section."
            )
