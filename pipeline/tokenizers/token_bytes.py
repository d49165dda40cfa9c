"""The bytes of every token: they turn tokens into text, and make losses comparable between vocabularies and languages.

Reads tokenizer.json itself; one table a process, about 0.1 s for 100,000 tokens. The tokens of byte-level BPE are the
text byte for byte (`exact`). Those of other kinds are the text as far as their kind preserves it: a token that begins a
word of letters has a blank before it, a Chinese word or a punctuation mark has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.files import read_json
from pipeline.text.unicode import CONNECTOR, DIGIT, LETTER
from pipeline.text.words import kind_of
from pipeline.tokenizers import tokenizer_json
from pipeline.tokenizers.special_tokens import CONTINUATION, END_OF_SENTENCE
from pipeline.tokenizers.tokenizer_json import TokenizerJson

BLANK = "\u2581"  # what SentencePiece writes for a blank
BYTE = re.compile(r"<0x([0-9A-F]{2})>")


@dataclass(frozen=True)
class TokenBytes:
    """`by_id[i]` is the bytes of token i; `end_of_text` follows each document and stands for no text there.

    `exact`: the bytes are those of the text. `unknown` is the id that stands for lost text; its size counts as 0.
    """

    by_id: tuple[bytes, ...]
    end_of_text: int
    exact: bool = True
    unknown: int | None = None

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The number of bytes of each token; 0 for the unknown token, so that lost text never improves a loss."""
        sizes = np.fromiter(map(len, self.by_id), np.int64, len(self.by_id))
        if self.unknown is not None:
            sizes[self.unknown] = 0
        return sizes

    @property
    def visible_sizes(self) -> NDArray[np.int64]:
        """The bytes of each token that are not white space; 0 for the unknown token."""
        visible = np.fromiter((len(b"".join(text.split())) for text in self.by_id), np.int64, len(self.by_id))
        return np.where(self.sizes > 0, visible, 0)

    def text(self, tokens: Sequence[int] | NDArray[np.int64]) -> bytes:
        """The bytes of the tokens, end to end."""
        return b"".join([self.by_id[token] for token in tokens])


def load(path: Path) -> TokenBytes:
    """The bytes of the tokens of a tokenizer.json of any kind.

    Raises: UserError when no token marks the end of a text.
    """
    return from_json(read_json(path), path.name)


def from_json(tokenizer: TokenizerJson, name: str = "tokenizer.json") -> TokenBytes:
    """The bytes of the tokens of a parsed tokenizer.json."""
    end_of_text = tokenizer_json.end_of_text_id(tokenizer, name)
    added = tokenizer_json.added_tokens(tokenizer)
    ids = tokenizer_json.token_ids(tokenizer)
    by_id = [b""] * (max(ids.values()) + 1)
    for token, text in _texts(tokenizer, [token for token in ids if token not in added]):
        by_id[ids[token]] = text
    for token, token_id in added.items():
        by_id[token_id] = token.encode()
    if tokenizer["model"].get("type") == "WordLevel" and END_OF_SENTENCE in ids:
        by_id[ids[END_OF_SENTENCE]] = b"\n"
    return TokenBytes(tuple(by_id), end_of_text, _is_exact(tokenizer), tokenizer_json.unknown_id(tokenizer))


def _texts(tokenizer: TokenizerJson, tokens: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Each token with its bytes, by the rules of the type of model."""
    model = tokenizer["model"]
    if _is_byte_level(tokenizer):
        byte_of = {character: value for value, character in enumerate(_byte_characters())}
        for token in tokens:
            yield token, bytes(byte_of[character] for character in token)
    elif model.get("type") == "WordPiece":
        prefix = model.get("continuing_subword_prefix") or CONTINUATION
        for token in tokens:
            yield token, token.removeprefix(prefix).encode() if token.startswith(prefix) else _word_text(token)
    elif model.get("type") == "WordLevel":
        yield from ((token, _word_text(token)) for token in tokens)
    else:
        for token in tokens:
            byte = BYTE.fullmatch(token)
            yield token, bytes([int(byte[1], 16)]) if byte else token.replace(BLANK, " ").encode()


def _word_text(token: str) -> bytes:
    """The token, after a blank where its script separates words by blanks."""
    has_blank = kind_of(token[:1] or " ") in (LETTER, DIGIT, CONNECTOR)
    return f" {token}".encode() if has_blank else token.encode()


def _is_exact(tokenizer: TokenizerJson) -> bool:
    """Byte-level BPE that neither normalizes text nor adds a blank before it."""
    split = tokenizer.get("pre_tokenizer") or {}
    adds_blank = any(part.get("add_prefix_space") for part in split.get("pretokenizers", [split]))
    return _is_byte_level(tokenizer) and tokenizer.get("normalizer") is None and not adds_blank


def _is_byte_level(tokenizer: TokenizerJson) -> bool:
    decoder = tokenizer.get("decoder") or {}
    parts = decoder.get("decoders", [decoder]) if decoder.get("type") == "Sequence" else [decoder]
    return tokenizer["model"].get("type") == "BPE" and [part.get("type") for part in parts] == ["ByteLevel"]


def _byte_characters() -> list[str]:
    """The character that byte-level BPE writes for each byte (Radford et al. 2019): the byte's own where it can be
    printed, otherwise the next free one from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    unprintable = [value for value in range(256) if value not in printable]
    substitutes = {value: chr(0x100 + index) for index, value in enumerate(unprintable)}
    return [substitutes.get(value, chr(value)) for value in range(256)]
