"""Shared by the exports of recurrent models: the files beside the weights, the card, and the comparison with ours."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.core.errors import StageFailed
from pipeline.core.files import read_json, replacing
from pipeline.tokenizers.special_tokens import END_OF_SENTENCE, END_OF_TEXT
from training.export.base import ExportSource
from training.models.base import Model, SavedConfig
from training.models.bilstm import Bilstm
from training.models.saved import read_config, read_weights

TOLERANCE = 1e-4  # between their logits and ours; the difference is rarely more than 1e-5
ROWS = 4  # held-out rows, spread over the split, on which logits are compared
FAMILIES = ("rnn", "lstm", "gru", "bilstm")

WORD_TOKENIZER_NOTE = f"""
The tokenizer splits text at white space alone. In training, text had been split into words before: without punctuation,
Chinese by jieba, with `{END_OF_SENTENCE}` after each sentence. Write a prompt in that form.
"""

TokenMatrix = NDArray[np.int64]
"""B, T."""
OutputPair = tuple[NDArray[np.float32] | Tensor, NDArray[np.float32] | Tensor]
"""What the exported file computes, and what the saved model computes."""


def recurrent_config(source: ExportSource, name: str) -> SavedConfig:
    """config.json of the saved model. `name`: the format that is written.

    Raises: StageFailed when the model is not recurrent.
    """
    config = read_config(source.model)
    if config["family"] not in FAMILIES:
        raise StageFailed(
            f"export: {name}: the model is a {config['family']}; this format is for {', '.join(FAMILIES)}. "
            "Choose another of export.formats."
        )
    return config


def copy(path: Path, folder: Path) -> str:
    """Copy a file into the folder, completely or not at all; returns its name."""
    with replacing(folder / path.name) as temporary:
        shutil.copyfile(path, temporary)
    return path.name


def write_card(source: ExportSource, folder: Path, *, use: str, library: str) -> str:
    """Write README.md; returns its name."""
    saved = read_config(source.model)
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
    use = use.replace(END_OF_TEXT, source.end_of_text) + (
        WORD_TOKENIZER_NOTE if _is_word_tokenizer(source.tokenizer) else ""
    )
    with replacing(folder / "README.md") as temporary:
        text = source.card.text(title=title, figures=figures, use=use, library=library, task=task)
        temporary.write_text(text, encoding="utf-8")
    return "README.md"


def _is_word_tokenizer(tokenizer: Path) -> bool:
    return bool(read_json(tokenizer)["model"]["type"] == "WordLevel")


def comparison_rows(source: ExportSource) -> list[TokenMatrix]:
    """Real held-out rows, spread over the split, each 1, T."""
    count = source.held_out.row_count
    numbers = sorted({index * (count - 1) // max(1, ROWS - 1) for index in range(ROWS)})
    return [row.tokens[None] for number in numbers for row in source.held_out.rows(number, number + 1)]


def logits(model: Model, tokens: TokenMatrix) -> list[Tensor]:
    """The saved model's logits of the next tokens and, from a bidirectional model, of the previous ones."""
    with torch.inference_mode():
        inputs = torch.from_numpy(tokens)
        return list(model.directions(inputs)) if isinstance(model, Bilstm) else [model.logits(inputs)]


def compare(name: str, outputs: Mapping[str, OutputPair]) -> None:
    """Compare the outputs of an exported file with ours. The keys name the output in the error.

    Raises: StageFailed when they differ by more than the tolerance, or are no numbers.
    """
    for output, (theirs, ours) in outputs.items():
        difference = float(np.max(np.abs(np.asarray(theirs) - np.asarray(ours)), initial=0.0))
        if not difference <= TOLERANCE:  # a NaN fails too
            raise StageFailed(
                f"export: {name}: {output} differ by {difference:.2g} from the saved model's on held-out rows, more "
                f"than {TOLERANCE:g}. Nothing was published; please report this with the pretrain.model section."
            )
