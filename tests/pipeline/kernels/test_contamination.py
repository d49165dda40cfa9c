"""The scan for n-grams of items finds what plain Python finds over `text.words.units`."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.draft import LocalDraft
from pipeline.decontamination.index import build, load
from pipeline.decontamination.items import Item
from pipeline.kernels.contamination import Sizes
from pipeline.text.words import units

SIZES = Sizes(words=6, characters=7, min_words=4, min_characters=5)
WORDS = st.sampled_from(["the", "cat", "SAT", "Ａ", "x1", "天", "气", "好", ",", "。", "\n"])
TEXTS = st.lists(WORDS, max_size=30).map(" ".join)


def grams(text: str) -> set[tuple[str, ...]]:
    """The n-grams of a text of an item."""
    own = units(text)
    in_characters = sum(len(unit) == 1 and unit in "天气好" for unit in own) > 0.5 * len(own)
    size, least = (7, 5) if in_characters else (6, 4)
    if len(own) < size:
        return {tuple(own)} if len(own) >= least else set()
    return {tuple(own[at : at + size]) for at in range(len(own) - size + 1)}


@settings(max_examples=60)
@given(st.lists(TEXTS, min_size=1, max_size=4), st.lists(TEXTS, min_size=1, max_size=4))
def test_the_scan_finds_what_plain_python_finds(
    tmp_path_factory: object, items: list[str], documents: list[str]
) -> None:
    folder = Path(str(tmp_path_factory.mktemp("index")))  # type: ignore[attr-defined]
    wanted = set().union(*(grams(text) for text in items))
    build((Item("t", str(n), [text]) for n, text in enumerate(items)), SIZES, folder)
    hits = load(LocalDraft(folder)).scan(pa.array(documents, pa.large_string()))
    expected = []
    for number, text in enumerate(documents):
        own = units(text)
        for at in range(len(own)):
            sizes = [size for size in range(4, 8) if tuple(own[at : at + size]) in wanted and at + size <= len(own)]
            expected += [(number, at, max(sizes))] if sizes else []
    assert list(zip(hits.document.tolist(), hits.unit.tolist(), hits.size.tolist(), strict=True)) == expected
