"""Boundaries computed over arrays equal those of words.py."""

from __future__ import annotations

import random

import numpy as np
import pytest

from pipeline.text import boundaries, words

TEXTS = [
    "",
    "a",
    "'",
    "字",
    "Don't stop: it's 3.14 at example.org! Right?\n\nYes… 'quoted' rock'n'roll, snake_case __ x' 'y",
    "今天天气很好。我们去图书馆看书！真的？\n第二段；还有，标点",
    "  Mixed 中文 and English。Then more.  \n \n　全角空格 a\u2019b \u200d_",
    "ไทย 日本語テキスト 한국어。 1２３ ａｂｃ",
    "。。。...!!! ?\n.\n",
    "ที่นี่ ខ្ញុំស៊\u200cី\u200b မြန်မာ ທີ່ a\u0e35 \u0e48b 中\u0301国\u200d か\u3099\u200d\u200da",
    "צה״ל ג׳ ״שלום״ col·lecció l·L J·K·罗琳",
    "\udce4\udcbd half a character \udce5",
]
CHARACTERS = [
    "a",
    "B",
    "é",
    "1",
    "_",
    "'",
    "’",
    " ",
    "\n",
    ".",
    "。",
    "！",
    "中",
    "文",
    "ไ",
    "か",
    "-",
    "\u200d",
    "…",
    "\u3000",
    "\u0301",
    "\u0e35",
    "·",
    "l",
    "׳",
    "״",
]


def random_texts() -> list[str]:
    random_source = random.Random(5)
    return ["".join(random_source.choices(CHARACTERS, k=random_source.randint(1, 30))) for _ in range(2000)]


@pytest.mark.parametrize("texts", [TEXTS, random_texts()], ids=["written", "random"])
def test_units_continue_as_in_the_reference(texts: list[str]) -> None:
    for text in texts:
        goes_on = boundaries.continues_unit(boundaries.to_code_points(text))
        expected = np.zeros(len(text), bool)
        for start, end in words.spans(text):
            expected[start + 1 : end] = True
        assert np.array_equal(goes_on, expected), text


@pytest.mark.parametrize("texts", [TEXTS, random_texts()], ids=["written", "random"])
def test_sentences_start_as_in_the_reference(texts: list[str]) -> None:
    for text in texts:
        starts = np.flatnonzero(boundaries.starts_sentence(boundaries.to_code_points(text)))
        expected, at = [], 0
        for sentence in words.sentences(text):
            at = text.index(sentence, at)
            expected.append(at)
            at += len(sentence)
        assert starts.tolist() == expected, text


def test_han_and_preceding_spaces_are_detected() -> None:
    text = "a 中\n文 ไ あ 〇"
    assert boundaries.is_han(boundaries.to_code_points(text)).tolist() == [
        words.is_han(character) for character in text
    ]
    assert boundaries.follows_space(boundaries.to_code_points("a  b\nc")).tolist() == [
        False,
        False,
        True,
        True,
        False,
        False,
    ]
