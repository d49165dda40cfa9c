"""What decides the last bits of a trained model or of its scores, as a manifest records it.

Weights and scores are the same bits within one numerics class. The class enters neither the fingerprint nor the digest.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict, cast


class NumericsClass(TypedDict, total=False):
    """Where and how weights were computed; each trainer records what changes its own last bits."""

    device: str
    precision: str
    engine: str
    workers: int
    tree_leaves: int  # micro-batches whose gradients are summed in a fixed tree: then workers decide no bit
    threads: int
    micro_batch_rows: int
    empty_rows: int  # of a step, where workers do not share its rows evenly
    torch: str
    transformers: str
    numba: str
    numpy: str


class EarlierNumerics(NumericsClass, total=False):
    """The class of the first part of a resumed training; `steps` were done when it ended."""

    steps: int


class ModelNumerics(NumericsClass, total=False):
    """The class of a model. `earlier`: the classes before it, where training was resumed in another one."""

    earlier: list[EarlierNumerics]


class ScoreNumerics(TypedDict):
    """The class of an evaluation; a list where its parts were computed in several."""

    device: str | list[str]
    precision: str | list[str]
    threads: int | list[int]
    torch: str | list[str]
    transformers: NotRequired[str | list[str]]


def without_earlier(numerics: ModelNumerics) -> NumericsClass:
    """The class alone, to compare it with another."""
    return cast(NumericsClass, {key: value for key, value in numerics.items() if key != "earlier"})


def resumed(numerics: ModelNumerics, checkpoint: ModelNumerics, *, steps: int) -> ModelNumerics:
    """The class of a training that continues a checkpoint after `steps` steps, with the classes before it."""
    earlier = list(checkpoint.get("earlier", []))
    if without_earlier(checkpoint) != without_earlier(numerics):
        earlier.append(cast(EarlierNumerics, {**without_earlier(checkpoint), "steps": steps}))
    now = cast(ModelNumerics, without_earlier(numerics))
    if earlier:
        now["earlier"] = earlier
    return now
