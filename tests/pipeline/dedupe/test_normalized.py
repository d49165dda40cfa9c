"""Normalized texts: the same key however they are spelled, another key for another text."""

from __future__ import annotations

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dedupe.normalized import normalized_hashes, to_nfkc, unchanged_by_nfkc

# letters, signs and blanks; compatibility forms; marks and jamo that join
ALPHABET = [*"ab AZ\t\n.!?_1中国。，！　１Ａｃ…①ﬁ㎏½ß", *map(chr, [0xE9, 0x301, 0x304B, 0x3099, 0xFF76, 0xFF9E])]
ALPHABET += map(chr, [0xD55C, 0x1112, 0x1161, 0x11AB])


def column(*texts: str) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def key(text: str) -> bytes:
    return normalized_hashes(to_nfkc(column(text)))[0, :2].tobytes()


@pytest.mark.parametrize(
    ("text", "other_text"),
    [
        ("The ore is hot.", "the ORE is  hot.\r\n"),
        ("\n 矿石很热。\t", "矿石很热。"),
        ("１２３ ＡＢＣ，矿石", "123 abc,矿石"),
        ("caf\u00e9", "cafe\u0301"),
        ("ｶﾞｽ", "ガス"),
        ("ﬁne …", "FINE ..."),
        ("矿石\u3000很热", "矿石 很热"),
        ("한국", "\u1112\u1161\u11ab\u1100\u116e\u11a8"),
    ],
)
def test_spelling_does_not_change_the_key(text: str, other_text: str) -> None:
    assert key(text) == key(other_text)


@pytest.mark.parametrize(
    ("text", "other_text"),
    [("ore", "oar"), ("ore is", "oreis"), ("矿石", "矿 石"), ("ab", "ba"), ("a.", "a"), ("", "a"), ("热", "热热")],
)
def test_other_texts_have_other_keys(text: str, other_text: str) -> None:
    assert key(text) != key(other_text)


def folded(text: str) -> str:
    lowered = unicodedata.normalize("NFKC", text).lower()
    return " ".join(unicodedata.normalize("NFKC", lowered).split())


RESPELLED = (str.swapcase, str.upper, lambda t: f" {t}\n", lambda t: t.replace(" ", "\t "), lambda t: t + "a", str)
FORMS = ("NFC", "NFD", "NFKC", "NFKD")


@st.composite
def spellings(draw: st.DrawFn) -> tuple[str, str]:
    """A text and another spelling of it, or nearly so."""
    text = draw(st.text(ALPHABET, max_size=8))
    return text, unicodedata.normalize(draw(st.sampled_from(FORMS)), draw(st.sampled_from(RESPELLED))(text))


@given(st.tuples(st.text(ALPHABET, max_size=2), st.text(ALPHABET, max_size=2)) | spellings())
def test_keys_are_equal_just_where_the_folded_texts_are(texts: tuple[str, str]) -> None:
    text, other_text = texts
    assert (key(text) == key(other_text)) == (folded(text) == folded(other_text))


@given(st.text(max_size=30))
def test_what_is_only_looked_at_is_in_form_nfkc(text: str) -> None:
    if all(unchanged_by_nfkc()[ord(character)] for character in text if not 0xD800 <= ord(character) < 0xE000):
        assert unicodedata.is_normalized("NFKC", text)


def test_a_column_keeps_its_order_when_some_texts_are_normalised() -> None:
    texts = ["plain", "ＡＢＣ", "矿石，热", "also plain", "e\u0301"]
    assert to_nfkc(column(*texts)).to_pylist() == [unicodedata.normalize("NFKC", text) for text in texts]
    whole = column("x", *texts, "y").slice(1, 5)
    assert np.array_equal(normalized_hashes(to_nfkc(whole)), normalized_hashes(to_nfkc(column(*texts))))


def test_texts_without_anything_have_a_key() -> None:
    assert key("") == key(" \n\t")
    assert len(normalized_hashes(to_nfkc(column()))) == 0


def test_the_third_word_tells_spellings_apart() -> None:
    hashes = normalized_hashes(to_nfkc(column("the ore", "The ore", "the ore")))
    assert (hashes[:, :2] == hashes[0, :2]).all()
    assert hashes[0, 2] == hashes[2, 2] != hashes[1, 2]
