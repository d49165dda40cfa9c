"""The words of a vocabulary, and a model's vectors for them, the most frequent first.

In: a model that has `vectors()` (vocabulary × width), its `counts` where it kept them, and its tokenizer.json. Special
tokens are not words. A word of a question is folded as the tokenizer folds text, then looked up unchanged; a piece of
byte-level BPE that begins with a space is found by the word after the space.
Cost: one copy of the vectors at unit length, and BLOCK scores at a time: never vocabulary × vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject, read_json
from pipeline.tokenizers import token_bytes
from pipeline.tokenizers.normalization import load_normalizer
from training.models.base import Model

# scores in memory at a time, fp32: 64 MB
BLOCK = 1 << 24


@dataclass(frozen=True)
class EmbeddingVocabulary:
    """`ids[i]` is the token of `words[i]`, which is its spelling in the vocabulary; `texts[i]` is what people read."""

    words: tuple[str, ...]
    texts: tuple[str, ...]
    ids: tuple[int, ...]
    fold: Callable[[str], str]

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def _places(self) -> dict[str, int]:
        places: dict[str, int] = {}
        # a piece that begins a word goes before the same letters within one
        for begins_word in (True, False):
            for place, text in enumerate(self.texts):
                if text.startswith(" ") == begins_word:
                    places.setdefault(text.removeprefix(" "), place)
        return places

    def find(self, word: str, *, first: int | None = None) -> int | None:
        """The place of a word among the `first` words; None where it is not one of them."""
        place = self._places.get(self.fold(word))
        return place if place is not None and (first is None or place < first) else None

    def select(self, places: Sequence[int]) -> EmbeddingVocabulary:
        """The words at these places, in this order."""
        words = tuple(self.words[place] for place in places)
        texts = tuple(self.texts[place] for place in places)
        return EmbeddingVocabulary(words, texts, tuple(self.ids[place] for place in places), self.fold)


def read_vocabulary(tokenizer: Path) -> EmbeddingVocabulary:
    """The words of a tokenizer.json by their ids, without special tokens and the token for unknown words."""
    tree: JsonObject = read_json(tokenizer)
    vocabulary = tree["model"]["vocab"]
    id_of = vocabulary if isinstance(vocabulary, dict) else {piece: at for at, (piece, _) in enumerate(vocabulary)}
    added = tree.get("added_tokens") or []
    id_of = {**id_of, **{token["content"]: token["id"] for token in added}}
    special = {token["content"] for token in added if token["special"]} | {tree["model"].get("unk_token")}
    ordered = sorted((token, word) for word, token in id_of.items() if word not in special)
    words, ids = tuple(word for _, word in ordered), tuple(token for token, _ in ordered)
    return EmbeddingVocabulary(words, _texts(words, ids, tree, tokenizer=tokenizer), ids, load_normalizer(tokenizer))


def _texts(words: Sequence[str], ids: Sequence[int], tree: JsonObject, *, tokenizer: Path) -> tuple[str, ...]:
    """What the pieces spell; bytes that are not whole characters keep the name of the piece."""
    if tree["model"]["type"] == "BPE" and "ByteLevel" in str(tree.get("decoder")):
        spelled = token_bytes.load(tokenizer).by_id
        texts = [spelled[token].decode("utf-8", "replace") for token in ids]
        return tuple(word if "\ufffd" in text else text for word, text in zip(words, texts, strict=True))
    # U+2581 is how SentencePiece writes a space
    return tuple(f" {word[1:]}" if word.startswith("\u2581") and word[1:] else word for word in words)


@dataclass(frozen=True)
class WordVectors:
    """A model's words by falling count. `unit`: their vectors at length 1, words × width, on the model's device."""

    vocabulary: EmbeddingVocabulary
    unit: Tensor
    counts: tuple[int, ...] | None

    def cosines(self, left: Sequence[int], right: Sequence[int]) -> list[float]:
        """The cosine of the words at these places, pair by pair.

        In fp64 and rounded there: in fp32 unequal pairs would tie, and a word with itself be 0.9999999 or 1.0000001.
        """
        a, b = self.unit[list(left)].double(), self.unit[list(right)].double()
        return [round(value, 12) for value in ((a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))).tolist()]

    def scores(self, queries: Tensor, *, first: int | None = None) -> Iterator[tuple[int, Tensor]]:
        """(place of the first row, rows × words): the cosines of the queries with the `first` words, block by block."""
        candidates = self.unit[:first]
        rows = max(1, BLOCK // max(1, len(candidates)))
        for start in range(0, len(queries), rows):
            yield start, queries[start : start + rows] @ candidates.T


def read_word_vectors(model: Model, tokenizer: Path) -> WordVectors:
    """The words of a model, by falling count; words that training never saw have learned nothing and are left out.

    Raises: StageFailed when the model keeps no word vectors, or they are not finite.
    """
    vectors, vocabulary, counts = trained_vectors(model, tokenizer)
    if not bool(torch.isfinite(vectors).all()):
        raise StageFailed(
            "evaluate: the word vectors hold numbers that are not finite: training diverged. Train again with a lower "
            "optimizer.lr."
        )
    # a vector of zeros is near to nothing; dividing by its length would make it NaN
    vectors /= vectors.norm(dim=1, keepdim=True).clamp_min(1e-30)
    return WordVectors(vocabulary, vectors, counts)


def trained_vectors(model: Model, tokenizer: Path) -> tuple[Tensor, EmbeddingVocabulary, tuple[int, ...] | None]:
    """A copy of the vectors of a model's words in fp32, the words, and their counts in the training tokens where the
    model kept them: by falling count, words of one count by their ids, without words that training never saw.

    Raises: StageFailed when the family has no word vectors.
    """
    vectors, vocabulary = getattr(model, "vectors", None), read_vocabulary(tokenizer)
    if vectors is None:
        raise StageFailed(f"{model.family}: keeps no vectors of words. Train word2vec or glove for that.")
    counts = getattr(model, "counts", None)
    word_counts: tuple[int, ...] | None = None
    if counts is not None and bool(counts.any()):
        count_of = counts.long().cpu()[list(vocabulary.ids)]
        falling = torch.sort(count_of, descending=True, stable=True)
        places = falling.indices[: int((count_of > 0).sum())].tolist()
        vocabulary = vocabulary.select(places)
        word_counts = tuple(count_of[places].tolist())
    matrix = vectors()
    return matrix[torch.tensor(vocabulary.ids, device=matrix.device)].float(), vocabulary, word_counts
