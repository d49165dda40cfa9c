"""From the vocabulary of word vectors to a language model's: exact pieces, or pieces by the words they occur in.

Vectors over the same tokenizer are taken piece by piece. Vectors of words (tokenizer kind `word`) reach the pieces of a
subword tokenizer through the words: each word, spelled by the model's tokenizer as it stands in running text, gives its
vector to its pieces, weighted by how often the word was seen. A piece that is a word of its own takes that word's
vector alone. Cost: one encoding of the vocabulary, about a second for 200,000 words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.core.errors import UserError
from pipeline.core.files import read_json
from pipeline.core.shards import batches
from pipeline.tokenizers import reference_encoder
from training.models.saved import load


@dataclass(frozen=True)
class Mapped:
    """`vectors`: pieces × width; `known`: which pieces found one; `coverage`: their share of the training tokens."""

    vectors: Tensor
    known: Tensor
    coverage: float


def mapped(artifact: Path, tokenizer: Path, train: Sequence[Path], *, width: int) -> Mapped:
    """The learned vectors under the ids of `tokenizer`, as tokens of the shards `train` use them.

    Raises: UserError when the artifact holds no word vectors, others than `width` wide, or of another tokenizer.
    """
    folder = artifact / "model"
    source = load(folder)
    vectors = getattr(source, "vectors", None)
    if vectors is None:
        raise UserError(
            f"pretrain.init_embeddings: {artifact.name[:12]} holds a {source.family} model, not word vectors."
        )
    learned: Tensor = vectors().detach().float()
    if learned.shape[1] != width:
        raise UserError(
            f"pretrain.init_embeddings: the vectors are {learned.shape[1]} numbers wide and the model's embedding is "
            f"{width}. Write pretrain.model.width: {learned.shape[1]}, or train vectors of {width}."
        )
    ours, theirs = read_json(tokenizer), read_json(folder / "tokenizer.json")
    if theirs["model"] == ours["model"]:
        found, known = learned, torch.ones(len(learned), dtype=torch.bool)
    elif theirs["model"]["type"] == "WordLevel":
        counts = getattr(source, "counts", None)
        found, known = by_words(learned, theirs["model"]["vocab"], counts, tokenizer)
    else:
        raise UserError(
            "pretrain.init_embeddings: the vectors are of the pieces of another tokenizer, which are no words. Train "
            "them with tokenizer.kind: word, or with this run's own tokenizer."
        )
    used = token_counts(train, len(found))
    return Mapped(found, known, float(used[known.numpy()].sum() / max(1, used.sum())))


def by_words(
    learned: Tensor, vocabulary: dict[str, int], counts: Tensor | None, tokenizer: Path
) -> tuple[Tensor, Tensor]:
    """A vector for every piece that a word of the vocabulary is spelled with, and which pieces those are."""
    reference = reference_encoder.load(tokenizer)
    words = sorted((word for word in vocabulary if not _special(word)), key=vocabulary.__getitem__)
    if counts is not None:  # a word that training never saw kept its first, random vector
        seen: list[bool] = (counts > 0).tolist()
        words = [word for word in words if seen[vocabulary[word]]]
    ids = torch.tensor([vocabulary[word] for word in words])
    # Zipf where nobody counted: words come by falling frequency
    weight = counts[ids].double() if counts is not None else 1.0 / (1.0 + torch.arange(len(words), dtype=torch.float64))
    total = torch.zeros(reference.vocabulary, learned.shape[1], dtype=torch.float64)
    mass = torch.zeros(reference.vocabulary, dtype=torch.float64)
    alone: dict[int, int] = {}
    for spelled_as in (" {}", "{}"):
        encoded = [reference.encode_text(spelled_as.format(word)) for word in words]
        sizes = torch.tensor([len(pieces) for pieces in encoded])
        pieces = torch.tensor([piece for found in encoded for piece in found], dtype=torch.long)
        owner = torch.repeat_interleave(torch.arange(len(words)), sizes)
        share = (weight / sizes.clamp_min(1))[owner]
        total.index_add_(0, pieces, learned[ids[owner]].double() * share.unsqueeze(1))
        mass.index_add_(0, pieces, share)
        for at, found in enumerate(encoded):
            if len(found) == 1:
                alone.setdefault(found[0], at)
    known = mass > 0
    vectors = torch.where(known.unsqueeze(1), total / mass.clamp_min(1e-300).unsqueeze(1), total).float()
    for piece, at in alone.items():
        vectors[piece] = learned[ids[at]]
    return vectors, known


def token_counts(train: Sequence[Path], vocabulary: int) -> NDArray[np.int64]:
    """How often each id stands in the shards."""
    counts = np.zeros(vocabulary, np.int64)
    for path in train:
        for batch in batches(path, ["tokens"]):
            flat = batch["tokens"].combine_chunks().flatten().to_numpy()
            counts += np.bincount(flat, minlength=vocabulary)[:vocabulary]
    return counts


def _special(word: str) -> bool:
    return word in ("<|endoftext|>", "<unk>", "</s>")
