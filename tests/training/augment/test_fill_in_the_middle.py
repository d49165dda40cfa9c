"""A document's middle is told last: put back, every document is itself, in both orders, English and Chinese."""

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


def put_back(text: list[int], prefix: int, suffix: int, middle: int, *, suffix_first: bool) -> list[int]:
    """The document that was told as `text`."""
    if prefix not in text:
        return text
    assert text[0] == prefix and [text.count(mark) for mark in (prefix, suffix, middle)] == [1, 1, 1]
    first, second = text.index(suffix), text.index(middle)
    if not suffix_first:
        return [*text[1:first], *text[second + 1 :], *text[first + 1 : second]]
    assert first == 1, "the suffix comes first, then prefix and middle in one"
    return [*text[second + 1 :], *text[2:second]]


@pytest.mark.parametrize("suffix_first", [True, False])
def test_put_back_every_document_is_itself(build: Build, rows: Any, suffix_first: bool) -> None:
    one = build("fill_in_the_middle", share=0.8, suffix_first=float(suffix_first))
    marks = [one.specials[word] for word in (PREFIX, SUFFIX, MIDDLE)]
    tokens, lengths = one.rows(*rows, keys(5, 1, np.arange(6)))
    told = 0
    for before, length, after, now in zip(*rows, tokens, lengths, strict=True):
        found: list[int] = []
        for start, stop in documents(after[:now], one.end_of_text):
            found += put_back(after[start:stop].tolist(), *marks, suffix_first=suffix_first)
            found += after[stop : stop + 1].tolist() if stop < now else []
        count = int((after[:now] == marks[0]).sum())
        told += count
        assert found == before[: len(found)].tolist()
        assert min(length, 96 - 3 * count) - len(found) in (0, 3), "a row gives up its last tokens for the marks alone"
    assert told > 6


def test_cuts_fall_anywhere(build: Build, reference: ReferenceEncoder) -> None:
    text = reference.encode_text("然后焙烧")
    row = np.zeros((400, len(text) + 3), np.int64)
    row[:, : len(text)] = text
    one = build("fill_in_the_middle", share=1.0, suffix_first=0.0)
    suffix = one.specials[SUFFIX]
    tokens, lengths = one.rows(row, np.full(400, len(text)), keys(5, 1, np.arange(400)))
    assert (lengths == len(text) + 3).all()
    assert {int(np.flatnonzero(r == suffix)[0]) for r in tokens} == set(range(1, len(text) + 2)), "at both ends too"


def test_about_the_share_of_documents_is_told_so(build: Build) -> None:
    one = build("fill_in_the_middle", share=0.3, suffix_first=0.5)
    row = np.tile(np.array([300, 301, 302, one.end_of_text]), (300, 16))
    tokens, _ = one.rows(row, np.full(300, 64), keys(5, 1, np.arange(300)))
    assert (tokens == one.specials[PREFIX]).sum(1).mean() == pytest.approx(0.3 * 13, rel=0.15)
