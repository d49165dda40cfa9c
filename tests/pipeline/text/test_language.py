"""Language tags, and detection of a language by script."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.text.language import canonical, detect_by_script, fallbacks, is_counted_by_character
from pipeline.text.scripts import NUMBER, SCRIPTS


def guess(**letters: int) -> str | None:
    counts = np.zeros((1, len(SCRIPTS)), np.int64)
    for script, count in letters.items():
        counts[0, NUMBER[script]] = count
    return detect_by_script(counts)[0]


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("EN", "en"), ("en-US", "en"), ("eng", "en"), ("zh_CN", "zh"), ("zh-TW", "zh-Hant"), ("ZH-hant", "zh-Hant"),
        ("cmn", "zh"), ("Chinese", "zh"), ("und-latn", "und-Latn"), ("", None), (None, None),
    ],
)  # fmt: skip
def test_tags_have_one_spelling(tag: str | None, expected: str | None) -> None:
    assert canonical(tag) == expected


def test_a_list_is_looked_up_from_the_particular_to_the_general() -> None:
    assert fallbacks("zh-TW") == ["zh-Hant", "zh"]
    assert fallbacks("en") == ["en"]
    assert fallbacks(None) == []


def test_script_tells_languages_apart_as_far_as_it_can() -> None:
    assert guess(Hani=50) == "zh"
    assert guess(Hani=50, Latn=120) == "zh"  # a page with code in it
    assert guess(Hani=5, Latn=400) == "und-Latn"
    assert guess(Hani=50, Kana=1) == "zh"  # a Japanese name in a Chinese text
    assert guess(Hani=40, Kana=30) == "ja"
    assert guess(Hang=30) == "ko"
    assert guess(Cyrl=10) == "und-Cyrl"
    assert guess(Zyyy=10) is None


def test_a_language_is_counted_by_character_or_by_word() -> None:
    assert [is_counted_by_character(tag) for tag in ("zh-Hant", "ja", "ko", "und-Thai")] == [True] * 4
    assert [is_counted_by_character(tag) for tag in ("en", "ru", "und-Latn")] == [False] * 3
    assert is_counted_by_character(None) is None
