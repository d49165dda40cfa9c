"""The texts of a set: each once, in their own order, at most so many bytes, each always on the same side."""

from __future__ import annotations

import numpy as np

from tests.support.made_texts import ListedTexts, prose
from training.annotation.examples import Examples, read_examples

MB = 1_000_000


def examples_of(texts: list[tuple[str, str | None]], most_bytes: int = MB) -> Examples:
    return read_examples(ListedTexts(texts), most_bytes)  # type: ignore[arg-type]


def test_a_text_that_differs_in_case_width_or_white_space_alone_is_taken_once() -> None:
    texts = [("The  river", "en"), ("the river", "en"), ("图书馆 看书", "zh"), ("图书馆　看书", "zh"), ("看书", "zh")]
    examples = examples_of(texts)
    assert len(examples) == 3
    assert (examples.records, examples.duplicates) == (5, 2)


def test_the_order_of_files_does_not_matter() -> None:
    texts = prose(200)
    first, second = examples_of(texts), examples_of(texts[::-1])
    assert first.text.equals(second.text) and first.language.equals(second.language)


def test_of_a_large_set_the_same_texts_are_taken_in_any_order() -> None:
    texts = prose(400)
    first, second = examples_of(texts, 5000), examples_of(texts[::-1], 5000)
    assert first.text.equals(second.text)
    assert 4000 < first.text_bytes <= 5000 and first.records == 400


def test_a_text_that_is_added_moves_no_other_to_the_other_side() -> None:
    few, many = examples_of(prose(100)), examples_of([*prose(100), *prose(100, seed=9)])
    sides = [dict(zip(each.key.tolist(), each.is_held_back(0.3).tolist(), strict=True)) for each in (few, many)]
    assert all(sides[1][key] == side for key, side in sides[0].items())
    assert 0.2 < np.mean(list(sides[1].values())) < 0.4
