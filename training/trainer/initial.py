"""The weights that training begins with: drawn from the seed, of another run's model, or with embeddings of another."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pipeline.core.artifact import Artifact
from pipeline.core.errors import UserError
from pipeline.core.files import read_json
from training.models.base import Model, build
from training.models.saved import CONFIG, read_weights
from training.trainer import checkpoint
from training.trainer.embeddings import mapped

EMBEDDING = "embed.weight"


def first_model(family: str, options: dict[str, Any], *, vocabulary: int, context: int, seed: int) -> Model:
    """The model with the weights of a seed: the same in every worker, at any number of them."""
    checkpoint.seed(seed, 0)
    return build(family, options, vocabulary=vocabulary, context=context)


def context(needed: int, artifact: Path | None) -> int:
    """The longest row of a new model: what its rows need, or what the model it goes on from was made for."""
    theirs: int = read_json(artifact / "model" / CONFIG)["context"] if artifact else 0
    return max(needed, theirs)


def take_weights(model: Model, artifact: Path) -> None:
    """Begin with the weights of a model artifact; a head that one of the two lacks keeps its own weights.

    Raises: UserError when it is another model.
    """
    folder = artifact / "model"
    mine: Mapping[str, object] = model.saved_config()
    theirs = read_json(folder / CONFIG)
    changed = [key for key in ("family", "vocabulary", "context") if theirs.get(key) != mine[key]]
    ours, weights = model.state_dict(), read_weights(folder)
    other = [name for name in ours if name in weights and weights[name].shape != ours[name].shape]
    missing = [name for name in ours if name not in weights and not name.startswith(("head", "pair", "pooler"))]
    if changed or other or missing:
        what = ", ".join(f"{key} {theirs.get(key)} and {mine[key]}" for key in changed)
        what = what or f"another {(other or missing)[0]}"
        raise UserError(f"pretrain.init: {artifact.name[:12]} is another model ({what}). Use the same pretrain.model.")
    model.load_state_dict({name: weights[name] for name in ours if name in weights}, strict=False)


def take_embeddings(
    model: Model, artifact: Path, tokenizer: Path, train: Sequence[Path], *, languages: Collection[str], least: float
) -> float:
    """Begin with embeddings learned before; the share of the training tokens that found a vector.

    `languages` are those of the training rows; none: they are not compared with those of the vectors.

    Raises: UserError when they do not fit: another width, language or tokenizer.
    """
    named = dict(model.named_parameters())
    if EMBEDDING not in named:
        raise UserError(f"pretrain.init_embeddings: {model.family} has no embedding of its own to begin with.")
    weight = named[EMBEDDING]
    theirs, ours = Artifact.at(artifact).manifest.counts.get("languages", {}), languages
    if theirs and ours and not set(theirs) & set(ours):
        raise UserError(
            f"pretrain.init_embeddings: the vectors were learned from {' and '.join(theirs)}, this corpus is in "
            f"{' and '.join(ours)}. Use vectors of the same language."
        )
    found = mapped(artifact, tokenizer, train, width=weight.shape[1])
    if found.coverage < least:
        raise UserError(
            f"pretrain.init_embeddings: only {found.coverage:.1%} of the training tokens find a vector "
            f"(least_coverage {least:.0%}): the embeddings are of another language or kind of text."
        )
    with torch.no_grad():
        # learned vectors come in another size of number than this model draws its own in: keep the model's
        scale = weight.std() / found.vectors[found.known].std().clamp_min(1e-12)
        weight[found.known] = found.vectors[found.known] * scale
    return found.coverage
