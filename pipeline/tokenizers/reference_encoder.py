"""The reference encoder: Hugging Face `tokenizers`, unchanged. About 3 MB a CPU-second (README)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import tokenizers

from pipeline.core.errors import UserError
from pipeline.tokenizers import escaped_specials, token_bytes, tokenizer_json
from pipeline.tokenizers.base import Encoded, Encoder
from pipeline.tokenizers.special_tokens import END_OF_SENTENCE

if TYPE_CHECKING:
    from pipeline.tokenizers.word_encoder import WordEncoder


class ReferenceEncoder(Encoder):
    """A loaded tokenizer.json of any kind. Its ids are right by definition; every faster path is held against it.

    Text is text: what spells a special token is encoded as other text is, but for `encode_prompt`.
    """

    def __init__(self, json_text: str) -> None:
        self._json_text = json_text
        tree = json.loads(json_text)
        self._tokenizer = _library(escaped_specials.to_json_text(escaped_specials.escape_specials(tree)))
        self._tokenizer.encode_special_tokens = True
        self._added, self._unknown = tokenizer_json.added_tokens(tree), tokenizer_json.unknown_id(tree)
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
        return tokenizer_json.end_of_text_id(json.loads(self._json_text))

    @property
    def unknown(self) -> int | None:
        """The id that stands for what the vocabulary lacks; None where every text can be spelled."""
        return self._unknown

    @property
    def sentence(self) -> int | None:
        """The id that ends a sentence; None but for the kind `word`."""
        return None if self._words is None else self._added[END_OF_SENTENCE]

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
    def _pieces(self) -> token_bytes.TokenBytes:
        return token_bytes.from_json(json.loads(self._json_text))


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
    from pipeline.tokenizers import word_level  # compiled loops: half a second only where they are used

    return word_level.encoder_of(tree)


def load(path: Path) -> ReferenceEncoder:
    """The tokenizer in a file.

    Raises: UserError when the file is not a tokenizer.json.
    """
    text = path.read_text(encoding="utf-8")
    try:
        return ReferenceEncoder(text)
    except Exception as error:  # the library raises bare Exception
        raise UserError(f"{path.name}: not a tokenizer.json that `tokenizers` can read ({error}).") from error
