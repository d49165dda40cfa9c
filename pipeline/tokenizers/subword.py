"""Byte-level BPE, and the reference encoder: Hugging Face `tokenizers` as it is. About 3 MB a CPU-second (README)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from pipeline.core.errors import UserError
from pipeline.tokenizers import description, literal, long_runs, pieces
from pipeline.tokenizers.base import Encoded, Encoder, Kind
from pipeline.tokenizers.special import OWN, SENTENCE

if TYPE_CHECKING:
    from pipeline.tokenizers.words import WordEncoder


class BytePair(Kind):
    """BPE over bytes, split by the GPT-2 expression (Radford et al. 2019): any text can be spelled, none is unknown.

    Special tokens: `<|endoftext|>`, then those of the options (fill-in-the-middle, [MASK] …).
    """

    def train(self, texts: Iterable[str], vocabulary: int) -> str:
        tokenizer = tokenizers.Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=[*OWN["bpe"], *self.options.specials],
            # all 256 bytes, whether the sample holds them or not; the trainer sorts them
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(long_runs.cut(texts, tokenizer.pre_tokenizer), trainer)
        return str(tokenizer.to_str())


class Reference(Encoder):
    """A loaded tokenizer.json of any kind. Its ids are right by definition; every faster path is held against it.

    Text is text: what spells a special token is encoded as other text is, but for `encode_prompt`.
    """

    def __init__(self, json_text: str) -> None:
        self._json_text = json_text
        tree = json.loads(json_text)
        self._tokenizer = _library(literal.text_of(literal.tree(tree)))
        self._tokenizer.encode_special_tokens = True
        self._added, self._unknown = description.added(tree), description.unknown(tree)
        self._words = _words_of(tree)

    @property
    def vocabulary(self) -> int:
        """One more than the largest id: what an embedding needs."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    @cached_property
    def end_of_text(self) -> int:
        """The id that follows each document.

        Raises: UserError when the tokenizer has no such piece.
        """
        return description.end_of_text(json.loads(self._json_text))

    @property
    def unknown(self) -> int | None:
        """The id that stands for what the vocabulary lacks; None where every text can be spelled."""
        return self._unknown

    @property
    def sentence(self) -> int | None:
        """The id that ends a sentence; None but for the kind `word`."""
        return None if self._words is None else self._added[SENTENCE]

    @property
    def specials(self) -> tuple[str, ...]:
        """Every added token, in the order of the file."""
        return tuple(self._added)

    def special(self, name: str) -> int | None:
        """The id of a special token ("[MASK]", "<unk>" …); None where the tokenizer has none of that name."""
        return self._added.get(name)

    def encode(self, column: pa.LargeStringArray) -> Encoded:
        return encode_by(self._tokenizer, column) if self._words is None else self._words.encode(column)

    def encode_text(self, text: str) -> list[int]:
        """The ids of one text; of words, a last sentence that has not ended is left open."""
        if self._words is not None:
            return self._words.encode_beginning(text)
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode_prompt(self, text: str) -> list[int]:
        """As `encode_text`, but a special token that is spelled keeps its meaning, as `transformers` has it: a person
        writes prompts, and may ask for <|fim_prefix|>."""
        if self._words is not None:
            return self._words.encode_beginning(text)
        return list(self._as_the_file_says.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`; end-of-text and bytes that are no UTF-8 come out as they are (U+FFFD for the latter)."""
        if self._words is not None:
            return self._pieces.text(ids).decode(errors="replace").removeprefix(" ")
        return str(self._as_the_file_says.decode(list(ids), skip_special_tokens=False))

    @cached_property
    def _as_the_file_says(self) -> tokenizers.Tokenizer:
        return _library(self._json_text)

    @cached_property
    def _pieces(self) -> pieces.Pieces:
        return pieces.of(json.loads(self._json_text))


def _library(json_text: str) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer.from_str(json_text)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def encode_by(tokenizer: tokenizers.Tokenizer, column: pa.LargeStringArray) -> Encoded:
    """A column by the library, without any token that a template would add."""
    encodings = tokenizer.encode_batch_fast(column.to_pylist(), add_special_tokens=False)
    ids = [np.asarray(encoding.ids, np.uint32) for encoding in encodings]
    offsets = np.zeros(len(ids) + 1, np.int64)
    np.cumsum([len(own) for own in ids], out=offsets[1:])
    return Encoded(np.concatenate(ids) if ids else np.empty(0, np.uint32), offsets)


def _words_of(tree: dict[str, Any]) -> WordEncoder | None:
    if tree["model"].get("type") != "WordLevel":
        return None
    from pipeline.tokenizers import word  # compiled loops: half a second only where they are used

    return word.encoder_of(tree)


def load(path: Path) -> Reference:
    """The tokenizer in a file.

    Raises: UserError when the file is not a tokenizer.json.
    """
    text = path.read_text(encoding="utf-8")
    try:
        return Reference(text)
    except Exception as error:  # the library raises bare Exception
        raise UserError(f"{path.name}: not a tokenizer.json that `tokenizers` can read ({error}).") from error
