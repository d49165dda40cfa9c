"""MinHash: sets are those of the definition, and bands meet as often as the curve says."""

from __future__ import annotations

import random
import re
import unicodedata

import numpy as np
import pyarrow as pa
import pytest

from pipeline.dedupe.minhash import MinHash
from pipeline.dedupe.section import Dedupe

OWN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3040-\u30ff\uac00-\ud7af"
UNIT = re.compile(rf"[{OWN}]|[^\W{OWN}]+")
METHOD = MinHash(Dedupe())


def plain_shingles(text: str, width: int = 5) -> set[tuple[str, ...]]:
    units = UNIT.findall(unicodedata.normalize("NFKC", text).lower())
    return {tuple(units[at : at + width]) for at in range(max(1, len(units) - width + 1))} if units else set()


def column(*texts: str) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def index_of(text: str, other_text: str) -> float:
    sets = METHOD.sets(column(text, other_text))
    first, second = (set(sets.values[sets.offsets[n] : sets.offsets[n + 1]].tolist()) for n in (0, 1))
    return len(first & second) / len(first | second)


@pytest.mark.parametrize(
    ("text", "other_text"),
    [
        ("don't stop the furnace while the ore is hot", "Don't stop the furnace while that ore is hot"),
        ("snake_case and __init__ are words_of code here", "snake_case and __init__ are words of code here"),
        ("矿石要先洗净，然后焙烧、打碎。Then 2 hours!", "矿石要先洗净，再焙烧、打碎。then 2 hours?"),
        ("ＯＲＥ１２３ is ore123 in any width, 全角也一样", "ore123 is ore123 in any width， 全角也一样"),
        ("日本語のテキスト、ひらがなとカタカナ。", "日本語のテキスト、平仮名とカタカナ。"),
        ("too short", "too short!"),
    ],
)
def test_the_index_is_that_of_sets_of_five_units(text: str, other_text: str) -> None:
    first, second = plain_shingles(text), plain_shingles(other_text)
    assert index_of(text, other_text) == pytest.approx(len(first & second) / len(first | second))


def test_sets_are_sorted_and_end_to_end() -> None:
    sets = METHOD.sets(column("a b c d e f g a b c d e f g", "", "铁矿石和木炭一起加热"))
    assert sets.sizes.tolist() == [7, sets.sizes[1], 6]
    for start, end in zip(sets.offsets[:-1], sets.offsets[1:], strict=True):
        assert (np.diff(sets.values[start:end].astype(np.int64)) >= 0).all()


def test_a_document_has_the_bands_of_its_text_alone() -> None:
    texts = ["the ore is hot and the iron is ready", "铁矿石和木炭一起加热以后", "", "!"]
    whole = METHOD.bands(column(*texts))
    for row, text in enumerate(texts):
        assert np.array_equal(METHOD.bands(column(text))[0], whole[row])
    assert (whole != 0).all()


def make_pair(shared: int, own: int, seed: int) -> tuple[str, str]:
    """Two texts of distinct words, as lists of five-word lines with a known share of lines in common."""
    draw = random.Random(seed)
    words = [f"{draw.getrandbits(40):x}q" for _ in range(shared + 2 * own)]
    return " ".join(words[: shared + own]), " ".join(words[:shared] + words[shared + own :])


@pytest.mark.parametrize("own", [4, 8, 20])
def test_two_texts_share_a_band_as_often_as_the_curve_says(own: int) -> None:
    pairs = [make_pair(100, own, seed) for seed in range(300)]
    s = np.mean([index_of(*pair) for pair in pairs])
    left_bands, right_bands = (METHOD.bands(column(*side)) for side in zip(*pairs, strict=True))
    expected, tries = s**8, 300 * 14
    # bands of a pair are nearly independent: three standard errors, a little wider for that
    assert abs((left_bands == right_bands).mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / tries)


def test_bands_and_rows_are_those_of_the_section() -> None:
    assert MinHash(Dedupe(bands=5, rows=3)).bands(column("a b c d e f")).shape == (1, 5)
    assert MinHash(Dedupe(shingle=2)).sets(column("a b c d")).sizes.tolist() == [3]


@pytest.mark.parametrize("text", ["ที่นี่ดีที่สุด", "ខ្ញុំចង់ទៅសាលារៀន", "ທີ່ນີ້ດີທີ່ສຸດ", "မြန်မာဘာသာစကား"])
def test_a_shingle_counts_a_character_with_its_marks_as_one_unit(text: str) -> None:
    units = sum(not unicodedata.category(character).startswith("M") for character in text)
    assert MinHash(Dedupe(shingle=1)).sets(column(text)).sizes[0] <= units
    assert MinHash(Dedupe(shingle=units - 1)).sets(column(text)).sizes.tolist() == [2]
