"""Escapes the special tokens of a tokenizer.json: text that spells a special token is encoded like any other text.

Otherwise a manual that mentions <|endoftext|> would be cut in two. The library's `encode_special_tokens` is not enough:
Unigram and WordLevel find a special token in their vocabulary, and a special token that is skipped hides an ordinary
added token that overlaps it. So special tokens get names that no text contains; their ids do not change.
"""

from __future__ import annotations

import copy
import json

from pipeline.tokenizers import tokenizer_json
from pipeline.tokenizers.tokenizer_json import TokenizerJson


def placeholder(token_id: int) -> str:
    """The new name of a special token: U+FFFF is not a character, and no split leaves blanks inside a token."""
    return f"\uffff special {token_id} \uffff"


def escape_specials(original: TokenizerJson) -> TokenizerJson:
    """The tokenizer with its special tokens and its end of text renamed; without a template around texts."""
    names = _new_names(original)
    escaped = {**original, "added_tokens": copy.deepcopy(original.get("added_tokens", [])), "post_processor": None}
    for token in escaped["added_tokens"]:
        if token["content"] in names:
            token |= {"content": names[token["content"]], "special": True, "normalized": False}
            token |= {"single_word": False, "lstrip": False, "rstrip": False}
    escaped["model"] = _rename_in_model(original["model"], names)
    return escaped


def drop_specials(original: TokenizerJson) -> TokenizerJson:
    """The tokenizer without special tokens: for an encoder that takes ids from the file and always matches specials."""
    escaped = escape_specials(original)
    return {**escaped, "added_tokens": [token for token in escaped["added_tokens"] if not token["special"]]}


def to_json_text(tokenizer: TokenizerJson) -> str:
    return json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))


def _new_names(original: TokenizerJson) -> dict[str, str]:
    """The new name of each special token. In BPE, a token of one byte keeps its name, because text needs it."""
    specials = [token["content"] for token in original.get("added_tokens", ()) if token["special"]]
    ids = tokenizer_json.token_ids(original)
    end_of_text = tokenizer_json.end_of_text_token(original)
    if end_of_text is not None:
        specials.append(end_of_text)
    is_bpe = original["model"].get("type") == "BPE"
    return {name: placeholder(ids[name]) for name in specials if not (is_bpe and len(name) == 1)}


def _rename_in_model(model: TokenizerJson, names: dict[str, str]) -> TokenizerJson:
    renamed = dict(model)
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        renamed["vocab"] = {names.get(token, token): token_id for token, token_id in vocabulary.items()}
    else:
        renamed["vocab"] = [[names.get(token, token), score] for token, score in vocabulary]
    if model.get("unk_token"):
        renamed["unk_token"] = names.get(model["unk_token"], model["unk_token"])
    if model.get("merges"):
        renamed["merges"] = [merge for merge in model["merges"] if not _involves_special(merge, names)]
    return renamed


def _involves_special(merge: str | list[str], names: dict[str, str]) -> bool:
    """Whether a merge produces a special token from text, or uses one as a part of text."""
    first, second = merge.split(" ", 1) if isinstance(merge, str) else merge
    return first + second in names or first in names or second in names
