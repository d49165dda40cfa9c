"""A tokenizer.json that reads every text as text: what spells a special token is encoded as any other text is.

Otherwise a manual that says <|endoftext|> would end in its middle. The library's `encode_special_tokens` is not enough:
Unigram and WordLevel find a special piece in their vocabulary, and a special token that is passed over hides an
ordinary added token that overlaps it. So special tokens get names that no text spells; ids stay as they are.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from pipeline.tokenizers import tokenizer_json

TokenizerJson = dict[str, Any]


def placeholder(token: int) -> str:
    """The name that a special token has here: U+FFFF is no character, and no split leaves blanks inside a piece."""
    return f"\uffff special {token} \uffff"


def escape_specials(original: TokenizerJson) -> TokenizerJson:
    """The tokenizer with its special tokens and its end of text renamed; nothing is added around a text."""
    names = _names(original)
    changed = {**original, "added_tokens": copy.deepcopy(original.get("added_tokens", [])), "post_processor": None}
    for token in changed["added_tokens"]:
        if token["content"] in names:
            token |= {"content": names[token["content"]], "special": True, "normalized": False}
            token |= {"single_word": False, "lstrip": False, "rstrip": False}
    changed["model"] = _model(original["model"], names)
    return changed


def drop_specials(original: TokenizerJson) -> TokenizerJson:
    """The same, without special tokens: for an encoder that takes ids from the file and knows no other way."""
    changed = escape_specials(original)
    return {**changed, "added_tokens": [token for token in changed["added_tokens"] if not token["special"]]}


def to_json_text(changed: TokenizerJson) -> str:
    return json.dumps(changed, ensure_ascii=False, separators=(",", ":"))


def _names(original: TokenizerJson) -> dict[str, str]:
    """The new name of every special token. A piece of one byte of byte-pair encoding keeps its own: text needs it."""
    special = [token["content"] for token in original.get("added_tokens", ()) if token["special"]]
    ids, ending = tokenizer_json.token_ids(original), tokenizer_json.end_of_text_token(original)
    found = [*special, *([ending] if ending is not None else [])]
    needed = original["model"].get("type") == "BPE"
    return {name: placeholder(ids[name]) for name in found if not (needed and len(name) == 1)}


def _model(model: TokenizerJson, names: dict[str, str]) -> TokenizerJson:
    changed = dict(model)
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        changed["vocab"] = {names.get(piece, piece): token for piece, token in vocabulary.items()}
    else:
        changed["vocab"] = [[names.get(piece, piece), score] for piece, score in vocabulary]
    if model.get("unk_token"):
        changed["unk_token"] = names.get(model["unk_token"], model["unk_token"])
    if model.get("merges"):
        changed["merges"] = [merge for merge in model["merges"] if not _spells(merge, names)]
    return changed


def _spells(merge: str | list[str], names: dict[str, str]) -> bool:
    """Whether a merge makes a special token of text, or takes one for a part of text."""
    first, second = merge.split(" ", 1) if isinstance(merge, str) else merge
    return first + second in names or first in names or second in names
