"""The bytes of every token: what makes text of tokens, and loss comparable between vocabularies and languages.

Reads tokenizer.json itself; one table a process, about 0.1 s for 100,000 pieces. Pieces of byte-level BPE are the text
byte for byte (`exact`). Those of other kinds are the text as well as their kind keeps it: a piece that begins a word of
letters has a blank before it, a Chinese word and a mark have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.files import read_json
from pipeline.text.unicode import CONNECTOR, DIGIT, LETTER
from pipeline.text.words import kind_of
from pipeline.tokenizers import tokenizer_json
from pipeline.tokenizers.special_tokens import END_OF_SENTENCE

BLANK = "\u2581"  # what SentencePiece writes for a blank
BYTE = re.compile(r"<0x([0-9A-F]{2})>")


@dataclass(frozen=True)
class TokenBytes:
    """`spelled[i]` is the bytes of token i; `end_of_text` ends a document and spells nothing there.

    `exact`: the bytes are the text's own. `unknown` stands for text that is lost; it counts for no bytes.
    """

    spelled: tuple[bytes, ...]
    end_of_text: int
    exact: bool = True
    unknown: int | None = None

    @property
    def sizes(self) -> NDArray[np.int64]:
        """How many bytes each token spells; 0 for the unknown, so that what is lost never flatters a loss."""
        found = np.fromiter(map(len, self.spelled), np.int64, len(self.spelled))
        if self.unknown is not None:
            found[self.unknown] = 0
        return found

    def text(self, tokens: Sequence[int] | NDArray[np.int64]) -> bytes:
        """The bytes that the tokens spell, end to end."""
        return b"".join([self.spelled[token] for token in tokens])


def load(path: Path) -> TokenBytes:
    """The pieces of a tokenizer.json of any kind.

    Raises: UserError when none ends a document.
    """
    return from_json(read_json(path), path.name)


def from_json(tree: dict[str, Any], name: str = "tokenizer.json") -> TokenBytes:
    """The pieces of a parsed tokenizer.json."""
    end, added = tokenizer_json.end_of_text_id(tree, name), tokenizer_json.added_tokens(tree)
    known = tokenizer_json.token_ids(tree)
    spelled = [b""] * (max(known.values()) + 1)
    for piece, text in _spelled(tree, [piece for piece in known if piece not in added]):
        spelled[known[piece]] = text
    for piece, token in added.items():
        spelled[token] = piece.encode()
    if tree["model"].get("type") == "WordLevel" and END_OF_SENTENCE in known:
        spelled[known[END_OF_SENTENCE]] = b"\n"
    return TokenBytes(tuple(spelled), end, _is_exact(tree), tokenizer_json.unknown_id(tree))


def _spelled(tree: dict[str, Any], pieces: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    model = tree["model"]
    if _is_byte_level(tree):
        byte_of = {character: value for value, character in enumerate(_alphabet())}
        for piece in pieces:
            yield piece, bytes(byte_of[character] for character in piece)
    elif model.get("type") == "WordPiece":
        inside = model.get("continuing_subword_prefix") or "##"
        for piece in pieces:
            yield piece, piece.removeprefix(inside).encode() if piece.startswith(inside) else _as_word(piece)
    elif model.get("type") == "WordLevel":
        yield from ((piece, _as_word(piece)) for piece in pieces)
    else:
        for piece in pieces:
            byte = BYTE.fullmatch(piece)
            yield piece, bytes([int(byte[1], 16)]) if byte else piece.replace(BLANK, " ").encode()


def _as_word(piece: str) -> bytes:
    """With the blank that stands before a word in scripts that have blanks."""
    apart = kind_of(piece[:1] or " ") in (LETTER, DIGIT, CONNECTOR)
    return f" {piece}".encode() if apart else piece.encode()


def _is_exact(tree: dict[str, Any]) -> bool:
    """Byte-level, and neither changed nor preceded by a blank of its own."""
    split = tree.get("pre_tokenizer") or {}
    blank = any(part.get("add_prefix_space") for part in split.get("pretokenizers", [split]))
    return _is_byte_level(tree) and tree.get("normalizer") is None and not blank


def _is_byte_level(tree: dict[str, Any]) -> bool:
    decoder = tree.get("decoder") or {}
    parts = decoder.get("decoders", [decoder]) if decoder.get("type") == "Sequence" else [decoder]
    return tree["model"].get("type") == "BPE" and [part.get("type") for part in parts] == ["ByteLevel"]


def _alphabet() -> list[str]:
    """The character that stands for each byte in byte-level BPE (Radford et al. 2019): itself where it can be printed,
    else the next free one from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    unprinted = [value for value in range(256) if value not in printable]
    moved = {value: chr(0x100 + at) for at, value in enumerate(unprinted)}
    return [moved.get(value, chr(value)) for value in range(256)]
