"""The bytes of every token: what makes text byte-exact and loss comparable between vocabularies and languages.

Reads tokenizer.json itself; one table a process, about 0.1 s for 100,000 pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import UserError
from pipeline.core.files import read_json
from pipeline.tokenizers.base import END_OF_TEXT


@dataclass(frozen=True)
class Pieces:
    """`spelled[i]` is the bytes of token i; `end_of_text` ends a document and spells nothing there."""

    spelled: tuple[bytes, ...]
    end_of_text: int

    @property
    def sizes(self) -> NDArray[np.int64]:
        """How many bytes each token spells."""
        return np.fromiter(map(len, self.spelled), np.int64, len(self.spelled))

    def text(self, tokens: Sequence[int] | NDArray[np.int64]) -> bytes:
        """The bytes that the tokens spell, end to end."""
        return b"".join([self.spelled[token] for token in tokens])


def read(path: Path) -> Pieces:
    """The pieces of a tokenizer.json.

    Raises: UserError when its tokens are not bytes, or none ends a document.
    """
    tokenizer = read_json(path)
    if not _is_byte_level(tokenizer):
        raise UserError(f"{path.name}: its tokens are not bytes, so bits per byte has no meaning. Use kind: bpe.")
    added = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    if END_OF_TEXT not in added:
        raise UserError(f"{path.name}: has no {END_OF_TEXT} piece. Train it with the tokenizer stage.")
    vocabulary: dict[str, int] = tokenizer["model"]["vocab"]
    byte_of = {character: value for value, character in enumerate(_alphabet())}
    spelled = [b""] * (max([*vocabulary.values(), *added.values()]) + 1)
    for piece, token in vocabulary.items():
        if piece not in added:
            spelled[token] = bytes(byte_of[character] for character in piece)
    for piece, token in added.items():
        spelled[token] = piece.encode()
    return Pieces(tuple(spelled), added[END_OF_TEXT])


def _is_byte_level(tokenizer: dict[str, Any]) -> bool:
    decoder = tokenizer.get("decoder") or {}
    parts = decoder.get("decoders", [decoder]) if decoder.get("type") == "Sequence" else [decoder]
    return tokenizer["model"].get("type") == "BPE" and [part.get("type") for part in parts] == ["ByteLevel"]


def _alphabet() -> list[str]:
    """The character that stands for each byte in byte-level BPE (Radford et al. 2019): itself where it can be printed,
    else the next free one from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    unprinted = [value for value in range(256) if value not in printable]
    moved = {value: chr(0x100 + at) for at, value in enumerate(unprinted)}
    return [moved.get(value, chr(value)) for value in range(256)]
