"""A tokenizer with the special tokens that augmentations write, and rows of English and Chinese as pack leaves them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.core.config import Component
from pipeline.tokenizers.base import TokenizerOptions
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.reference_encoder import ReferenceEncoder, load
from training import augment
from training.augment.base import Augmentation
from training.augment.specials import MIDDLE, PREFIX, SUFFIX, span_token

TEXTS = [
    "The ore is washed. It is roasted, 3.5 hours! Then it meets the charcoal.\nWho broke it?",
    "矿石要先洗净。然后焙烧！打碎之后，它和木炭相遇。谁把它打碎的？我们不知道。",
    "One sentence without an end",
    "水 water 山 mountain。They mix. 中文和 English 混排。",
]
SPECIALS = [PREFIX, SUFFIX, MIDDLE, *(span_token(index) for index in range(8))]
WIDTH = 96
Tokens = NDArray[np.int64]


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer.json without any of these special tokens."""
    path = tmp_path_factory.mktemp("plain") / "tokenizer.json"
    path.write_text(BytePair().train(TEXTS * 3, 330), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer.json with all of them."""
    path = tmp_path_factory.mktemp("special") / "tokenizer.json"
    path.write_text(BytePair(TokenizerOptions(specials=tuple(SPECIALS))).train(TEXTS * 3, 341), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def reference(tokenizer: Path) -> ReferenceEncoder:
    return load(tokenizer)


@pytest.fixture
def build(tokenizer: Path) -> Callable[..., Augmentation]:
    """build("token_dropout", share=0.5) → the augmentation."""

    def create(name: str, *, path: Path = tokenizer, **options: Any) -> Augmentation:
        return augment.AUGMENTATIONS.create(Component(name=name, options=options), path)

    return create


@pytest.fixture(scope="session")
def rows(reference: ReferenceEncoder) -> tuple[Tokens, Tokens]:
    """Six rows of documents end to end: full ones, a short one, an empty one, one that ends in a character."""
    stream = [token for text in TEXTS * 4 for token in [*reference.encode_text(text), reference.end_of_text]]
    tokens = np.zeros((6, WIDTH), np.int64)
    lengths = np.array([WIDTH, WIDTH, WIDTH, 41, 0, WIDTH], np.int64)
    for index, length in enumerate(lengths):
        tokens[index, :length] = stream[index * 61 : index * 61 + length]
    return tokens, lengths
