"""Moving the middle back gives every document again, in both orders, English and Chinese."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.tokenizers.reference_encoder import ReferenceEncoder
from training.augment.base import Augmentation, documents
from training.augment.specials import MIDDLE, PREFIX, SUFFIX
from training.keyed_rng import keys

Build = Callable[..., Augmentation]


def restore(text: list[int], prefix: int, suffix: int, middle: int, *, suffix_first: bool) -> list[int]:
    """The document of which `text` was made."""
    if prefix not in text:
        return text
    assert text[0] == prefix and [text.count(sentinel) for sentinel in (prefix, suffix, middle)] == [1, 1, 1]
    first, second = text.index(suffix), text.index(middle)
    if not suffix_first:
        return [*text[1:first], *text[second + 1 :], *text[first + 1 : second]]
    assert first == 1, "the suffix comes first, then prefix and middle in one"
    return [*text[second + 1 :], *text[2:second]]


@pytest.mark.parametrize("suffix_first", [True, False])
def test_every_document_can_be_restored(build: Build, rows: Any, suffix_first: bool) -> None:
    augmentation = build("fill_in_the_middle", share=0.8, suffix_first=float(suffix_first))
    sentinels = [augmentation.specials[token] for token in (PREFIX, SUFFIX, MIDDLE)]
    tokens, lengths = augmentation.rows(*rows, keys(5, 1, np.arange(6)))
    moved_count = 0
    for before, length, after, after_length in zip(*rows, tokens, lengths, strict=True):
        restored: list[int] = []
        for start, stop in documents(after[:after_length], augmentation.end_of_text):
            restored += restore(after[start:stop].tolist(), *sentinels, suffix_first=suffix_first)
            restored += after[stop : stop + 1].tolist() if stop < after_length else []
        count = int((after[:after_length] == sentinels[0]).sum())
        moved_count += count
        assert restored == before[: len(restored)].tolist()
        assert min(length, 96 - 3 * count) - len(restored) in (0, 3), "only sentinels replace tokens"
    assert moved_count > 6


def test_cuts_fall_anywhere(build: Build, reference: ReferenceEncoder) -> None:
    text = reference.encode_text("然后焙烧")
    row = np.zeros((400, len(text) + 3), np.int64)
    row[:, : len(text)] = text
    augmentation = build("fill_in_the_middle", share=1.0, suffix_first=0.0)
    suffix = augmentation.specials[SUFFIX]
    tokens, lengths = augmentation.rows(row, np.full(400, len(text)), keys(5, 1, np.arange(400)))
    assert (lengths == len(text) + 3).all()
    assert {int(np.flatnonzero(r == suffix)[0]) for r in tokens} == set(range(1, len(text) + 2)), "at both ends too"


def test_about_the_share_of_documents_is_changed(build: Build) -> None:
    augmentation = build("fill_in_the_middle", share=0.3, suffix_first=0.5)
    row = np.tile(np.array([300, 301, 302, augmentation.end_of_text]), (300, 16))
    tokens, _ = augmentation.rows(row, np.full(300, 64), keys(5, 1, np.arange(300)))
    assert (tokens == augmentation.specials[PREFIX]).sum(1).mean() == pytest.approx(0.3 * 13, rel=0.15)
