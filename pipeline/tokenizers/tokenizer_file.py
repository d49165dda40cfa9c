"""A tokenizer.json that the user has: which file it is, what ends a text in it, and its content as we keep it.

The file is kept to the byte where it says itself what ends a text. Where only `eos_token` of tokenizer_config.json
does, the model gets one more key, `end_of_text`, that libraries pass over: our tokenizer.json is enough by itself.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.core.errors import UserError
from pipeline.tokenizers import tokenizer_json
from pipeline.tokenizers.special_tokens import END_OF_TEXT

NAME, CONFIG = "tokenizer.json", "tokenizer_config.json"


@dataclass(frozen=True)
class TokenizerFile:
    """`path`: the tokenizer.json; `json_text`: as we keep it; `sha256`: of that; `end_of_text`: the piece."""

    path: Path
    json_text: str
    sha256: str
    end_of_text: str


def read(path: str) -> TokenizerFile:
    """The tokenizer in a folder of Hugging Face, or in a tokenizer.json.

    Raises: UserError when there is none, or it does not say what ends a text.
    """
    file = _file_of(Path(path))
    config = file.with_name(CONFIG)
    return _read(file, _seen(file), _seen(config) if config.is_file() else None)


def _file_of(path: Path) -> Path:
    if path.is_dir() and (path / NAME).is_file():
        return path / NAME
    if path.is_dir():
        raise UserError(
            f'{path}: holds no {NAME}. Make one: python -c "from transformers import AutoTokenizer; '
            f"AutoTokenizer.from_pretrained('{path}').save_pretrained('{path}')\""
        )
    if not path.is_file():
        raise UserError(f"{path}: is neither a folder nor a {NAME}. Write where the tokenizer lies.")
    return path


def _seen(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=4)
def _read(file: Path, seen: tuple[int, int], config_seen: tuple[int, int] | None) -> TokenizerFile:
    """`seen`: so that a changed file is read again."""
    try:
        json_text = file.read_bytes().decode("utf-8")
        tree = json.loads(json_text)
        said = tokenizer_json.end_of_text_token(tree)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file}: not a tokenizer.json ({type(error).__name__}: {error}).") from error
    wanted = _ending(tree, file, said)
    if wanted != said:
        tree["model"][tokenizer_json.END_KEY] = wanted
        json_text = json.dumps(tree, ensure_ascii=False, separators=(",", ":"))
    return TokenizerFile(file, json_text, hashlib.sha256(json_text.encode()).hexdigest(), wanted)


def _ending(tree: dict[str, Any], file: Path, said: str | None) -> str:
    """<|endoftext|>, which wherever it is stands between texts; else eos_token; else what is so spelled by custom.

    eos_token goes before custom: Gemma's </s> is a mark of HTML.
    """
    if said == END_OF_TEXT:
        return said
    config = file.with_name(CONFIG)
    eos = json.loads(config.read_bytes()).get("eos_token") if config.is_file() else None
    eos = eos.get("content") if isinstance(eos, dict) else eos
    if eos is not None and eos not in tokenizer_json.token_ids(tree):
        raise UserError(f"{config}: its eos_token {eos!r} is no piece of {NAME}. Name one that is.")
    found: str | None = said if eos is None else eos
    if found is None:
        raise UserError(
            f"{file}: does not say what ends a text: it has none of {', '.join(tokenizer_json.ENDS)}, and no {CONFIG} "
            "beside it names an eos_token. Write one there."
        )
    return found
