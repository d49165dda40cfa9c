"""The state of every random generator that training may use: seeded by rank, saved in and set from checkpoints."""

from __future__ import annotations

import random
from typing import Any, TypeAlias

import numpy as np
import torch

from training import keyed_rng

RandomState: TypeAlias = dict[str, Any]


def random_state() -> RandomState:
    """The states of all random generators that training may use."""
    version, words, gauss = random.getstate()
    numpy_state = np.random.get_state(legacy=False)
    state: RandomState = {"python": [version, list(words), gauss], "torch": torch.get_rng_state()}
    state["numpy"] = {**numpy_state, "state": {**numpy_state["state"], "key": numpy_state["state"]["key"].tolist()}}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: RandomState) -> None:
    """Set all random generators to the states that `random_state` returned."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    key = np.array(state["numpy"]["state"]["key"], np.uint32)
    np.random.set_state({**state["numpy"], "state": {**state["numpy"]["state"], "key": key}})
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def seed_leaf(number: int, step: int, leaf: int) -> None:
    """Seed torch for a micro-batch of a step, counted over all workers."""
    key = keyed_rng.keys(number, step, np.array([leaf]))[0]
    torch.manual_seed(int(key) % (1 << 63))


def seed(number: int, rank: int) -> None:
    """Seed every generator from (seed, rank): workers draw different numbers, runs the same ones."""
    mixed = int.from_bytes(np.random.SeedSequence([number, rank]).generate_state(2, np.uint32).tobytes(), "little")
    random.seed(mixed)
    np.random.seed(mixed % (1 << 32))
    torch.manual_seed(mixed % (1 << 63))
