"""The special tokens that augmentations write, from the config alone (no torch), so that check can ask before work."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pipeline.core.config import Component
from pipeline.core.files import JsonObject

PREFIX, SUFFIX, MIDDLE = "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"


def span_token(index: int) -> str:
    """The sentinel token of a row's span number `index`."""
    return f"<|span_{index}|>"


def span_count(length: int, *, corrupted: float, mean_span: float) -> int:
    """The number of spans in a row of `length` tokens."""
    return max(1, round(round(length * corrupted) / mean_span))


def required(augmentation: Component, *, length: int) -> list[str]:
    """The special tokens that an augmentation of rows of `length` tokens writes."""
    if augmentation.name == "fill_in_the_middle":
        return [PREFIX, SUFFIX, MIDDLE]
    if augmentation.name == "span_corruption":
        options = augmentation.options
        count = span_count(length, corrupted=options["corrupted"], mean_span=options["mean_span"])
        return [span_token(index) for index in range(count)]
    return []


def ids_of(tokenizer: JsonObject) -> dict[str, int]:
    """The special tokens of a tokenizer.json, with their ids."""
    return {token["content"]: token["id"] for token in tokenizer.get("added_tokens", ()) if token.get("special")}


def problem(augmentations: Sequence[Component], specials: Collection[str], *, length: int) -> str | None:
    """Why a tokenizer with these special tokens does not serve (`pretrain.augment`); None if it does."""
    for augmentation in augmentations:
        tokens = required(augmentation, length=length)
        if missing := [token for token in tokens if token not in specials]:
            listed = " ".join(tokens) if len(tokens) <= 4 else f"{tokens[0]} … {tokens[-1]}"
            return (
                f"{augmentation.name} of rows of {length:,} tokens writes {listed}, and the tokenizer has no "
                f"{missing[0]}. Add them to tokenizer.specials."
            )
    return None
