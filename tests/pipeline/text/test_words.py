"""Units, words and sentences in English, Chinese and mixed text."""

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
        ("ที่นี่ น้ำ", ["ที่", "นี่", "น้", "ํา"]),  # sara am is a letter that folds to two
        ("ភាសា​ខ្មែរ", ["ភា", "សា", "ខ្", "មែ", "រ"]),
        ("ស៊‌ី", ["ស៊ី"]),
        ("ທີ່ນີ້", ["ທີ່", "ນີ້"]),
        ("မြန်မာ", ["မြ", "န်", "မာ"]),
        ("が 中́国 ㄅ̇", ["が", "中́", "国", "ㄅ̇"]),
        ("中️国 中‍国", ["中", "国", "中", "国"]),
        ("aี่ ่b", ["aี่", "่b"]),  # a mark belongs to a letter of any script, and begins a word where none is
        ("צה״ל ג׳ורג׳ ג׳ ״שלום״ צַהַ״ל", ["צה״ל", "ג׳ורג׳", "ג׳", "שלום", "צַהַ״ל"]),
        ("col·lecció COL·LEGI coŀlegi l·", ["col·lecció", "col·legi", "col·legi", "l"]),
        ("J·K·罗琳 乔治·布什 a·b", ["j", "k", "罗", "琳", "乔", "治", "布", "什", "a", "b"]),
        ("می‌خواهم كِتَابٌ", ["می‌خواهم".replace("‌", ""), "كِتَابٌ"]),
        ("हिन्दी में தமிழ் café", ["हिन्दी", "में", "தமிழ்", "café"]),
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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("今天天气很好。", ["今天天气", "很", "好"]),
        ("Don't use Python3写代码！", ["don't", "use", "python3", "写", "代码"]),
        ("東京タワー", ["東京", "タ", "ワ", "ー"]),
        ("⼈民 人⺠", ["人民", "人", "⺠"]),
        ("中国𠀀人民", ["中国", "𠀀", "人民"]),
        ("2026年11月", ["2026", "年", "11", "月"]),
        ("中国́人民", ["中", "国́", "人民"]),
        ("ที่นี่中国", ["ที่", "นี่", "中国"]),
        ("…!?", []),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words.words(text) == expected


def test_words_as_they_are_written() -> None:
    assert words.words("Ｔhe ﬁle, THE 中国", folded=False) == ["Ｔhe", "ﬁle", "THE", "中国"]


def test_every_han_character_folds_to_one() -> None:
    assert {len(words.fold(chr(point))) for point in range(0x110000) if words.is_han(chr(point))} == {1}


def test_the_words_of_the_sentences_are_those_of_the_text() -> None:
    text = "Pi is 3.14. See example.org!\n今天天气很好。再见！"
    assert [word for sentence in words.sentences(text) for word in words.words(sentence)] == words.words(text)
