"""The reference encoder: Hugging Face `tokenizers`, unchanged. About 3 MB a CPU-second (README)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import tokenizers

from pipeline.core.errors import UserError
from pipeline.tokenizers import escaped_specials, token_bytes, tokenizer_json
from pipeline.tokenizers.base import Encoded, Encoder
from pipeline.tokenizers.special_tokens import END_OF_SENTENCE
from pipeline.tokenizers.tokenizer_json import TokenizerJson

if TYPE_CHECKING:
    from pipeline.tokenizers.word_encoder import WordEncoder


class ReferenceEncoder(Encoder):
    """A loaded tokenizer.json of any kind. Its ids are correct by definition; faster encoders are compared with it.

    Text that spells a special token is encoded like any other text, except by `encode_prompt`.
    """

    def __init__(self, json_text: str) -> None:
        self._json_text = json_text
        tokenizer = json.loads(json_text)
        self._tokenizer = _library(escaped_specials.to_json_text(escaped_specials.escape_specials(tokenizer)))
        self._tokenizer.encode_special_tokens = True
        self._added = tokenizer_json.added_tokens(tokenizer)
        self._unknown = tokenizer_json.unknown_id(tokenizer)
        self._words = _word_encoder(tokenizer)

    @property
    def vocabulary(self) -> int:
        """One more than the largest id: the size of an embedding."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    @cached_property
    def end_of_text(self) -> int:
        """The id that follows each document.

        Raises: UserError when the tokenizer has no such token.
        """
        return tokenizer_json.end_of_text_id(json.loads(self._json_text))

    @property
    def unknown(self) -> int | None:
        """The id of the unknown token; None where every text can be encoded without it."""
        return self._unknown

    @property
    def sentence(self) -> int | None:
        """The id that ends a sentence; only the kind `word` has one."""
        return None if self._words is None else self._added[END_OF_SENTENCE]

    @property
    def specials(self) -> tuple[str, ...]:
        """Every added token, in the order of the file."""
        return tuple(self._added)

    def special(self, name: str) -> int | None:
        """The id of a special token ("[MASK]", "<unk>" …); None where the tokenizer has no token of that name."""
        return self._added.get(name)

    def encode(self, column: pa.LargeStringArray) -> Encoded:
        return encode_by(self._tokenizer, column) if self._words is None else self._words.encode(column)

    def encode_text(self, text: str) -> list[int]:
        """The ids of a text; with the kind `word`, an unfinished last sentence gets no end of sentence."""
        if self._words is not None:
            return self._words.encode_beginning(text)
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode_prompt(self, text: str) -> list[int]:
        """Like `encode_text`, but a special token in the text keeps its meaning, as in `transformers`: people write
        prompts, and may use <|fim_prefix|>."""
        if self._words is not None:
            return self._words.encode_beginning(text)
        return list(self._with_specials.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, special tokens included; bytes that are not valid UTF-8 become U+FFFD."""
        if self._words is not None:
            return self._token_bytes.text(ids).decode(errors="replace").removeprefix(" ")
        return str(self._with_specials.decode(list(ids), skip_special_tokens=False))

    @cached_property
    def _with_specials(self) -> tokenizers.Tokenizer:
        return _library(self._json_text)

    @cached_property
    def _token_bytes(self) -> token_bytes.TokenBytes:
        return token_bytes.from_json(json.loads(self._json_text))


def _library(json_text: str) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer.from_str(json_text)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def encode_by(tokenizer: tokenizers.Tokenizer, column: pa.LargeStringArray) -> Encoded:
    """Encode a column with the library; no tokens of a template are added."""
    encodings = tokenizer.encode_batch_fast(column.to_pylist(), add_special_tokens=False)
    ids = [np.asarray(encoding.ids, np.uint32) for encoding in encodings]
    offsets = np.zeros(len(ids) + 1, np.int64)
    np.cumsum([len(document) for document in ids], out=offsets[1:])
    return Encoded(np.concatenate(ids) if ids else np.empty(0, np.uint32), offsets)


def _word_encoder(tokenizer: TokenizerJson) -> WordEncoder | None:
    if tokenizer["model"].get("type") != "WordLevel":
        return None
    from pipeline.tokenizers import word_level  # compiles kernels: half a second, only for words

    return word_level.encoder_of(tokenizer)


def load(path: Path) -> ReferenceEncoder:
    """Load a tokenizer.json.

    Raises: UserError when the file is not a tokenizer.json.
    """
    text = path.read_text(encoding="utf-8")
    try:
        return ReferenceEncoder(text)
    except Exception as error:  # the library raises bare Exception
        raise UserError(f"{path.name}: not a tokenizer.json that `tokenizers` can read ({error}).") from error
