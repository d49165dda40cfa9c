"""The first weights of a model: random from the seed, from another run's model, or with another run's embeddings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch

from pipeline.core.artifact import Artifact
from pipeline.core.errors import UserError
from pipeline.core.files import JsonObject, read_json
from training.models.base import Model, build
from training.models.saved import CONFIG, read_weights
from training.trainer import random_state
from training.trainer.embeddings import transfer_embeddings

EMBEDDING = "embed.weight"


def first_model(family: str, options: JsonObject, *, vocabulary: int, context: int, seed: int) -> Model:
    """The model with the weights of a seed: the same in every worker, for any number of workers."""
    random_state.seed(seed, 0)
    return build(family, options, vocabulary=vocabulary, context=context)


def context(needed: int, artifact: Path | None) -> int:
    """The context of a new model: the length of its rows, or that of the model whose weights it starts from."""
    theirs: int = read_json(artifact / "model" / CONFIG)["context"] if artifact else 0
    return max(needed, theirs)


def take_weights(model: Model, artifact: Path) -> None:
    """Load the weights of a model artifact; a head that only one of the two has keeps its own weights.

    Raises: UserError when it is another model.
    """
    folder = artifact / "model"
    config: Mapping[str, object] = model.saved_config()
    theirs = read_json(folder / CONFIG)
    changed = [key for key in ("family", "vocabulary", "context") if theirs.get(key) != config[key]]
    ours, weights = model.state_dict(), read_weights(folder)
    reshaped = [name for name in ours if name in weights and weights[name].shape != ours[name].shape]
    missing = [name for name in ours if name not in weights and not name.startswith(("head", "pair", "pooler"))]
    if changed or reshaped or missing:
        differences = ", ".join(f"{key} {theirs.get(key)} and {config[key]}" for key in changed)
        differences = differences or f"another {(reshaped or missing)[0]}"
        raise UserError(
            f"pretrain.init: {artifact.name[:12]} is another model ({differences}). Use the same pretrain.model."
        )
    model.load_state_dict({name: weights[name] for name in ours if name in weights}, strict=False)


def take_embeddings(
    model: Model, artifact: Path, tokenizer: Path, train: Sequence[Path], *, languages: Collection[str], least: float
) -> float:
    """Load embeddings that were learned before; returns the share of the training tokens that have a vector.

    `languages` are those of the training rows; if empty, they are not compared with those of the vectors.

    Raises: UserError when they are of another width, language or tokenizer.
    """
    parameters = dict(model.named_parameters())
    if EMBEDDING not in parameters:
        raise UserError(
            f"pretrain.init_embeddings: {model.family} has no embedding to initialise. Remove init_embeddings."
        )
    weight = parameters[EMBEDDING]
    theirs, ours = Artifact.at(artifact).manifest.counts.get("languages", {}), languages
    if theirs and ours and not set(theirs) & set(ours):
        raise UserError(
            f"pretrain.init_embeddings: the vectors were learned from {' and '.join(theirs)}, this corpus is in "
            f"{' and '.join(ours)}. Use vectors of the same language."
        )
    transferred = transfer_embeddings(artifact, tokenizer, train, width=weight.shape[1])
    if transferred.coverage < least:
        raise UserError(
            f"pretrain.init_embeddings: only {transferred.coverage:.1%} of the training tokens have a vector "
            f"(least_coverage {least:.0%}): the embeddings are of another language or kind of text."
        )
    with torch.no_grad():
        # learned vectors have another scale than the model's own initial values: keep the model's
        scale = weight.std() / transferred.vectors[transferred.has_vector].std().clamp_min(1e-12)
        weight[transferred.has_vector] = transferred.vectors[transferred.has_vector] * scale
    return transferred.coverage
