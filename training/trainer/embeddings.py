"""Transfer word vectors to the vocabulary of a language model: token by token, or through the words of each token.

Vectors over the same tokenizer are copied token by token. Of vectors of words (tokenizer kind `word`), a token gets the
mean over the words that contain it, weighted by their frequency; words are tokenized as they stand in running text. A
token that is a word by itself gets exactly that word's vector. Cost: one encoding of the vocabulary, about a second for
200,000 words.
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
class TransferredEmbeddings:
    """`vectors`: tokens × width; `has_vector`: of each token; `coverage`: the share of training tokens with one."""

    vectors: Tensor
    has_vector: Tensor
    coverage: float


def transfer_embeddings(artifact: Path, tokenizer: Path, train: Sequence[Path], *, width: int) -> TransferredEmbeddings:
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
        embeddings, has_vector = learned, torch.ones(len(learned), dtype=torch.bool)
    elif theirs["model"]["type"] == "WordLevel":
        counts = getattr(source, "counts", None)
        embeddings, has_vector = average_by_words(learned, theirs["model"]["vocab"], counts, tokenizer)
    else:
        raise UserError(
            "pretrain.init_embeddings: the vectors belong to the tokens of another tokenizer, which are not words. "
            "Train them with tokenizer.kind: word, or with this run's own tokenizer."
        )
    used = token_counts(train, len(embeddings))
    coverage = float(used[has_vector.numpy()].sum() / max(1, used.sum()))
    return TransferredEmbeddings(embeddings, has_vector, coverage)


def average_by_words(
    learned: Tensor, vocabulary: dict[str, int], counts: Tensor | None, tokenizer: Path
) -> tuple[Tensor, Tensor]:
    """A vector for every token that occurs in a word of the vocabulary, and which tokens those are."""
    reference = reference_encoder.load(tokenizer)
    words = sorted((word for word in vocabulary if not _special(word)), key=vocabulary.__getitem__)
    if counts is not None:  # a word that did not occur in training has its first, random vector
        occurs: list[bool] = (counts > 0).tolist()
        words = [word for word in words if occurs[vocabulary[word]]]
    ids = torch.tensor([vocabulary[word] for word in words])
    # without counts, assume Zipf's law: words are sorted by falling frequency
    weight = counts[ids].double() if counts is not None else 1.0 / (1.0 + torch.arange(len(words), dtype=torch.float64))
    total = torch.zeros(reference.vocabulary, learned.shape[1], dtype=torch.float64)
    mass = torch.zeros(reference.vocabulary, dtype=torch.float64)
    single_token_words: dict[int, int] = {}
    for template in (" {}", "{}"):
        encoded = [reference.encode_text(template.format(word)) for word in words]
        sizes = torch.tensor([len(pieces) for pieces in encoded])
        pieces = torch.tensor([piece for word_pieces in encoded for piece in word_pieces], dtype=torch.long)
        owner = torch.repeat_interleave(torch.arange(len(words)), sizes)
        share = (weight / sizes.clamp_min(1))[owner]
        total.index_add_(0, pieces, learned[ids[owner]].double() * share.unsqueeze(1))
        mass.index_add_(0, pieces, share)
        for at, word_pieces in enumerate(encoded):
            if len(word_pieces) == 1:
                single_token_words.setdefault(word_pieces[0], at)
    has_vector = mass > 0
    vectors = torch.where(has_vector.unsqueeze(1), total / mass.clamp_min(1e-300).unsqueeze(1), total).float()
    for piece, at in single_token_words.items():
        vectors[piece] = learned[ids[at]]
    return vectors, has_vector


def token_counts(train: Sequence[Path], vocabulary: int) -> NDArray[np.int64]:
    """How often each id occurs in the shards."""
    counts = np.zeros(vocabulary, np.int64)
    for path in train:
        for batch in batches(path, ["tokens"]):
            flat = batch["tokens"].combine_chunks().flatten().to_numpy()
            counts += np.bincount(flat, minlength=vocabulary)[:vocabulary]
    return counts


def _special(word: str) -> bool:
    return word in ("<|endoftext|>", "<unk>", "</s>")
