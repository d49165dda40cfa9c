"""What a unit and a sentence are, in English, Chinese and between."""

from __future__ import annotations

import pytest

from pipeline.text import words


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("The quick-brown fox.", ["the", "quick", "brown", "fox"]),
        ("今天天气很好。", ["今", "天", "天", "气", "很", "好"]),
        ("用Python写code", ["用", "python", "写", "code"]),
        ("Ｐｙｔｈｏｎ３ ﬁle", ["python3", "file"]),
        ("東京タワー 서울", ["東", "京", "タ", "ワ", "ー", "서", "울"]),
        ("Don't, don’t 'quote' rock'n'roll '90s", ["don't", "don't", "quote", "rock'n'roll", "90s"]),
        ("snake_case __init__ ____ 1_000", ["snake_case", "__init__", "1_000"]),
        ("3.14 v2", ["3", "14", "v2"]),
        ("👩\u200d💻 ❤\ufe0f !?", []),
        ("co\u00adoperate", ["cooperate"]),
        ("", []),
    ],
)
def test_units(text: str, units: list[str]) -> None:
    assert words.units(text) == units


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Pi is 3.14. See example.org! Really?", ["Pi is 3.14.", "See example.org!", "Really?"]),
        ("你好。再见！真的吗？是；好", ["你好。", "再见！", "真的吗？", "是；", "好"]),
        ("one\ntwo", ["one", "two"]),
        (" \n ", []),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert words.sentences(text) == sentences


def test_every_listed_function_word_is_one_unit() -> None:
    for listed in words.FUNCTION_WORDS.values():
        assert [words.units(word) for word in listed] == [[word] for word in listed]
        assert len(set(listed)) == len(listed)
