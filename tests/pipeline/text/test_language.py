"""Language tags, and detection of a language by script."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.text.language import canonical, detect_by_script, fallbacks, is_counted_by_character
from pipeline.text.scripts import NUMBER, SCRIPTS


def detect(**letters: int) -> str | None:
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
def test_tags_have_a_canonical_spelling(tag: str | None, expected: str | None) -> None:
    assert canonical(tag) == expected


def test_fallbacks_go_from_specific_to_general() -> None:
    assert fallbacks("zh-TW") == ["zh-Hant", "zh"]
    assert fallbacks("en") == ["en"]
    assert fallbacks(None) == []


def test_the_script_gives_the_language_or_an_undetermined_tag() -> None:
    assert detect(Hani=50) == "zh"
    assert detect(Hani=50, Latn=120) == "zh"  # a page with code in it
    assert detect(Hani=5, Latn=400) == "und-Latn"
    assert detect(Hani=50, Kana=1) == "zh"  # a Japanese name in a Chinese text
    assert detect(Hani=40, Kana=30) == "ja"
    assert detect(Hang=30) == "ko"
    assert detect(Cyrl=10) == "und-Cyrl"
    assert detect(Zyyy=10) is None


def test_a_language_is_counted_by_character_or_by_word() -> None:
    assert [is_counted_by_character(tag) for tag in ("zh-Hant", "ja", "ko", "und-Thai")] == [True] * 4
    assert [is_counted_by_character(tag) for tag in ("en", "ru", "und-Latn")] == [False] * 3
    assert is_counted_by_character(None) is None
