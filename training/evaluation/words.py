"""The words of a vocabulary, and a model's vectors for them, the most frequent first.

In: a model that has `vectors()` (vocabulary × width), its `counts` where it kept them, and its tokenizer.json. Special
pieces are no words. A word of a question is folded as the tokenizer folds text, then looked up as it is; a piece of
byte-level BPE that begins with a space is found by the word behind it.
Cost: one copy of the vectors at unit length, and BLOCK scores at a time: never vocabulary × vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.core.errors import StageFailed
from pipeline.core.files import read_json
from pipeline.tokenizers import token_bytes
from pipeline.tokenizers.normalization import load_normalizer
from training.models.base import Model

# scores in memory at a time, fp32: 64 MB
BLOCK = 1 << 24


@dataclass(frozen=True)
class Vocabulary:
    """`ids[i]` is the token of `words[i]`, which is its spelling in the vocabulary; `texts[i]` is what people read."""

    words: tuple[str, ...]
    texts: tuple[str, ...]
    ids: tuple[int, ...]
    fold: Callable[[str], str]

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def _places(self) -> dict[str, int]:
        found: dict[str, int] = {}
        # a piece that begins a word goes before the same letters within one
        for begins in (True, False):
            for at, text in enumerate(self.texts):
                if text.startswith(" ") == begins:
                    found.setdefault(text.removeprefix(" "), at)
        return found

    def find(self, word: str, *, first: int | None = None) -> int | None:
        """The place of a word among the `first` words; None where it is not."""
        place = self._places.get(self.fold(word))
        return place if place is not None and (first is None or place < first) else None

    def taken(self, places: Sequence[int]) -> Vocabulary:
        """The words at these places, in this order."""
        words, texts, ids = (tuple(all_[at] for at in places) for all_ in (self.words, self.texts, self.ids))
        return Vocabulary(words, texts, ids, self.fold)  # type: ignore[arg-type]


def read_vocabulary(tokenizer: Path) -> Vocabulary:
    """The words of a tokenizer.json by their ids, special pieces and the piece for unknown words left out."""
    found: dict[str, Any] = read_json(tokenizer)
    spelled = found["model"]["vocab"]
    named = spelled if isinstance(spelled, dict) else {piece: at for at, (piece, _) in enumerate(spelled)}
    added = found.get("added_tokens") or []
    named = {**named, **{token["content"]: token["id"] for token in added}}
    special = {token["content"] for token in added if token["special"]} | {found["model"].get("unk_token")}
    words = sorted((at, word) for word, at in named.items() if word not in special)
    names, ids = tuple(word for _, word in words), tuple(at for at, _ in words)
    return Vocabulary(names, _texts(names, ids, found, tokenizer), ids, load_normalizer(tokenizer))


def _texts(names: tuple[str, ...], ids: tuple[int, ...], found: dict[str, Any], tokenizer: Path) -> tuple[str, ...]:
    """What the pieces spell; bytes that are no whole characters keep the name of the piece."""
    if found["model"]["type"] == "BPE" and "ByteLevel" in str(found.get("decoder")):
        spelled = token_bytes.load(tokenizer).spelled
        texts = [spelled[at].decode("utf-8", "replace") for at in ids]
        return tuple(name if "\ufffd" in text else text for name, text in zip(names, texts, strict=True))
    # SentencePiece's mark for a space
    return tuple(f" {name[1:]}" if name.startswith("\u2581") and name[1:] else name for name in names)


@dataclass(frozen=True)
class Words:
    """A model's words by falling count. `unit`: their vectors at length 1, words × width, where the model is."""

    vocabulary: Vocabulary
    unit: Tensor
    counts: tuple[int, ...] | None

    def cosine(self, one: Sequence[int], other: Sequence[int]) -> list[float]:
        """How near the words at these places are, pair by pair.

        In fp64 and rounded there: in fp32 unequal pairs would tie, and a word with itself be 0.9999999 or 1.0000001.
        """
        left, right = self.unit[list(one)].double(), self.unit[list(other)].double()
        return [round(value, 12) for value in ((left * right).sum(1) / (left.norm(dim=1) * right.norm(dim=1))).tolist()]

    def scores(self, wanted: Tensor, *, first: int | None = None) -> Iterator[tuple[int, Tensor]]:
        """(place of the first row, rows × words) of the cosines of wanted vectors with the `first` words, by blocks."""
        among = self.unit[:first]
        rows = max(1, BLOCK // max(1, len(among)))
        for at in range(0, len(wanted), rows):
            yield at, wanted[at : at + rows] @ among.T


def words_of(model: Model, tokenizer: Path) -> Words:
    """The words of a model, by falling count; words that training never saw have learned nothing and are left out.

    Raises: StageFailed when the model keeps no word vectors, or they are not finite.
    """
    vectors, vocabulary, counts = learned(model, tokenizer)
    if not bool(torch.isfinite(vectors).all()):
        raise StageFailed(
            "evaluate: the word vectors hold numbers that are not finite: training diverged. Train again with a lower "
            "optimizer.lr."
        )
    # a vector of zeros is near to nothing; dividing by its length would make it NaN
    vectors /= vectors.norm(dim=1, keepdim=True).clamp_min(1e-30)
    return Words(vocabulary, vectors, counts)


def learned(model: Model, tokenizer: Path) -> tuple[Tensor, Vocabulary, tuple[int, ...] | None]:
    """A copy of the vectors of a model's words in fp32, the words, and their counts in the training tokens where the
    model kept them: by falling count, words of one count by their ids, and none that was never seen.

    Raises: StageFailed when the family has no word vectors.
    """
    vectors, vocabulary = getattr(model, "vectors", None), read_vocabulary(tokenizer)
    if vectors is None:
        raise StageFailed(f"{model.family}: keeps no vectors of words. Train word2vec or glove for that.")
    counts, kept = getattr(model, "counts", None), None
    if counts is not None and bool(counts.any()):
        seen = counts.long().cpu()[list(vocabulary.ids)]
        falling = torch.sort(seen, descending=True, stable=True)
        places = falling.indices[: int((seen > 0).sum())].tolist()
        vocabulary, kept = vocabulary.taken(places), tuple(seen[places].tolist())
    matrix = vectors()
    return matrix[torch.tensor(vocabulary.ids, device=matrix.device)].float(), vocabulary, kept
