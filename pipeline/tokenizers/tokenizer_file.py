"""Reads a tokenizer.json of the user: its path, the token that marks the end of a text, and the content we store.

A file that names its end of text is stored unchanged, byte for byte. Where only the `eos_token` of
tokenizer_config.json names it, `model` gets an additional key, `end_of_text`, which libraries ignore: our
tokenizer.json is self-contained.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.tokenizers import tokenizer_json
from pipeline.tokenizers.special_tokens import END_OF_TEXT
from pipeline.tokenizers.tokenizer_json import TokenizerJson

NAME = "tokenizer.json"
CONFIG = "tokenizer_config.json"


@dataclass(frozen=True)
class TokenizerFile:
    """`path`: the tokenizer.json; `json_text`: its content as we store it; `sha256`: the hash of `json_text`."""

    path: Path
    json_text: str
    sha256: str
    end_of_text: str


def read(path: str) -> TokenizerFile:
    """The tokenizer in a Hugging Face folder, or in a tokenizer.json.

    Raises: UserError when there is none, or when no token marks the end of a text.
    """
    file = _locate(Path(path))
    config = file.with_name(CONFIG)
    return _read(file, _version(file), _version(config) if config.is_file() else None)


def _locate(path: Path) -> Path:
    if path.is_dir() and (path / NAME).is_file():
        return path / NAME
    if path.is_dir():
        raise UserError(
            f'{path}: contains no {NAME}. Create one: python -c "from transformers import AutoTokenizer; '
            f"AutoTokenizer.from_pretrained('{path}').save_pretrained('{path}')\""
        )
    if not path.is_file():
        raise UserError(f"{path}: is neither a folder nor a {NAME}. Write the path of the tokenizer.")
    return path


def _version(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=4)
def _read(file: Path, version: tuple[int, int], config_version: tuple[int, int] | None) -> TokenizerFile:
    """The versions are part of the cache key: a file that has changed is read again."""
    try:
        json_text = file.read_bytes().decode("utf-8")
        tokenizer = json.loads(json_text)
        stated = tokenizer_json.end_of_text_token(tokenizer)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file}: not a tokenizer.json ({type(error).__name__}: {error}).") from error
    end_of_text = _end_of_text(tokenizer, file, stated)
    if end_of_text != stated:
        tokenizer["model"][tokenizer_json.END_KEY] = end_of_text
        json_text = json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))
    return TokenizerFile(file, json_text, hashlib.sha256(json_text.encode()).hexdigest(), end_of_text)


def _end_of_text(tokenizer: TokenizerJson, file: Path, stated: str | None) -> str:
    """<|endoftext|> if the file has it, since it always separates texts; else eos_token; else a token named by custom.

    eos_token takes precedence over custom: the </s> of Gemma is an HTML tag.
    """
    if stated == END_OF_TEXT:
        return stated
    config = file.with_name(CONFIG)
    eos = json.loads(config.read_bytes()).get("eos_token") if config.is_file() else None
    eos = eos.get("content") if isinstance(eos, dict) else eos
    if eos is not None and eos not in tokenizer_json.token_ids(tokenizer):
        raise UserError(f"{config}: its eos_token {eos!r} is not a token of {NAME}. Name one that is.")
    token: str | None = stated if eos is None else eos
    if token is None:
        raise UserError(
            f"{file}: no token marks the end of a text: it has none of {', '.join(tokenizer_json.ENDS)}, and no "
            f"{CONFIG} beside it names an eos_token. Name one there."
        )
    return token
