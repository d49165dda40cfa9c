"""What a tokenizer.json says of itself, read without a library: its ids, what ends a text, what stands for the unknown.

Everything takes the parsed file. Linear in the vocabulary, some 10 ms for 100,000 pieces.
"""

from __future__ import annotations

from typing import Any

from pipeline.core.errors import UserError
from pipeline.tokenizers.special_tokens import END_OF_TEXT

# how tokenizers of others spell what ends a text; the first that is there
ENDS = (END_OF_TEXT, "</s>", "[SEP]")
# the key of the model where a tokenizer of another spelling says so (`existing`); libraries pass over it
END_KEY = "end_of_text"

TokenizerJson = dict[str, Any]


def token_ids(tree: TokenizerJson) -> dict[str, int]:
    """Every piece and its id, added tokens among them."""
    vocabulary = tree["model"]["vocab"]
    # Unigram keeps a list of pieces and scores
    found = vocabulary if isinstance(vocabulary, dict) else {piece: at for at, (piece, _) in enumerate(vocabulary)}
    return {**found, **added_tokens(tree)}


def added_tokens(tree: TokenizerJson) -> dict[str, int]:
    """The added tokens, special ones and others, and their ids."""
    return {token["content"]: token["id"] for token in tree.get("added_tokens", ())}


def end_of_text_token(tree: TokenizerJson) -> str | None:
    """The piece that follows each document; None where no piece is known to."""
    known = token_ids(tree)
    return next((piece for piece in (tree["model"].get(END_KEY), *ENDS) if piece in known), None)


def end_of_text_id(tree: TokenizerJson, name: str = "tokenizer.json") -> int:
    """The id that follows each document.

    Raises: UserError when no piece ends a text.
    """
    piece = end_of_text_token(tree)
    if piece is None:
        raise UserError(
            f"{name}: no piece of it ends a text ({', '.join(ENDS)}). Train one with the tokenizer stage, or let "
            "kind: file read it from a folder whose tokenizer_config.json names its eos_token."
        )
    return token_ids(tree)[piece]


def unknown_id(tree: TokenizerJson) -> int | None:
    """The id that stands for what cannot be spelled; None where every text can."""
    model = tree["model"]
    if model.get("type") == "Unigram":
        number = model.get("unk_id")
        return None if model.get("byte_fallback") else number
    if not model.get("unk_token") or model.get("byte_fallback"):
        return None
    return token_ids(tree).get(model["unk_token"])
