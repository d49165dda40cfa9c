"""Facts that a parsed tokenizer.json states, read without a library: its ids, its end of text, its unknown token.

Time grows linearly with the vocabulary: about 10 ms for 100,000 tokens.
"""

from __future__ import annotations

from typing import TypeAlias

from pipeline.core.errors import UserError
from pipeline.core.files import JsonObject
from pipeline.tokenizers.special_tokens import END_OF_TEXT

TokenizerJson: TypeAlias = JsonObject
"""A parsed tokenizer.json. Its content is free JSON: each type of model has keys of its own."""

# the names that tokenizers of others give the end of text; the first one present is used
ENDS = (END_OF_TEXT, "</s>", "[SEP]")
# our key in `model` for a tokenizer whose end of text has another name (`tokenizer_file`); libraries ignore it
END_KEY = "end_of_text"


def token_ids(tokenizer: TokenizerJson) -> dict[str, int]:
    """Every token and its id, added tokens included."""
    vocabulary = tokenizer["model"]["vocab"]
    # Unigram stores a list of tokens and scores
    if not isinstance(vocabulary, dict):
        vocabulary = {token: index for index, (token, _) in enumerate(vocabulary)}
    return {**vocabulary, **added_tokens(tokenizer)}


def added_tokens(tokenizer: TokenizerJson) -> dict[str, int]:
    """The added tokens, special or not, and their ids."""
    return {token["content"]: token["id"] for token in tokenizer.get("added_tokens", ())}


def end_of_text_token(tokenizer: TokenizerJson) -> str | None:
    """The token that follows each document; None where the file does not name one."""
    ids = token_ids(tokenizer)
    return next((token for token in (tokenizer["model"].get(END_KEY), *ENDS) if token in ids), None)


def end_of_text_id(tokenizer: TokenizerJson, name: str = "tokenizer.json") -> int:
    """The id that follows each document.

    Raises: UserError when no token marks the end of a text.
    """
    token = end_of_text_token(tokenizer)
    if token is None:
        raise UserError(
            f"{name}: none of its tokens marks the end of a text ({', '.join(ENDS)}). Train a tokenizer with the "
            "tokenizer stage, or use kind: file with a folder whose tokenizer_config.json names its eos_token."
        )
    return token_ids(tokenizer)[token]


def unknown_id(tokenizer: TokenizerJson) -> int | None:
    """The id of the unknown token; None where every text can be encoded without it."""
    model = tokenizer["model"]
    if model.get("type") == "Unigram":
        number = model.get("unk_id")
        return None if model.get("byte_fallback") else number
    if not model.get("unk_token") or model.get("byte_fallback"):
        return None
    return token_ids(tokenizer).get(model["unk_token"])
