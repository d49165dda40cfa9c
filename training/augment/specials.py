"""The special tokens that augmentations write with, known before any work: from the config alone (no torch)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from pipeline.core.config import Component

PREFIX, SUFFIX, MIDDLE = "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"


def span(at: int) -> str:
    """The mark of a row's span number `at`."""
    return f"<|span_{at}|>"


def spans(length: int, *, corrupted: float, mean_span: float) -> int:
    """How many spans are cut out of a row of so many tokens."""
    return max(1, round(round(length * corrupted) / mean_span))


def needed(augmentation: Component, *, length: int) -> list[str]:
    """The special tokens that an augmentation of rows of `length` tokens writes."""
    if augmentation.name == "fill_in_the_middle":
        return [PREFIX, SUFFIX, MIDDLE]
    if augmentation.name == "span_corruption":
        options = augmentation.options
        count = spans(length, corrupted=options["corrupted"], mean_span=options["mean_span"])
        return [span(at) for at in range(count)]
    return []


def of(tokenizer: dict[str, Any]) -> dict[str, int]:
    """The special tokens of a tokenizer.json, with their ids."""
    return {token["content"]: token["id"] for token in tokenizer.get("added_tokens", ()) if token.get("special")}


def problem(augmentations: Sequence[Component], specials: Collection[str], *, length: int) -> str | None:
    """Why a tokenizer with these special tokens does not serve (`pretrain.augment`); None if it does."""
    for one in augmentations:
        wanted = needed(one, length=length)
        if missing := [word for word in wanted if word not in specials]:
            every = " ".join(wanted) if len(wanted) <= 4 else f"{wanted[0]} … {wanted[-1]}"
            return (
                f"{one.name} of rows of {length:,} tokens writes {every}, and the tokenizer has no {missing[0]}. "
                "Add them to tokenizer.specials."
            )
    return None
