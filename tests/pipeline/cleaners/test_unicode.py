"""The unicode cleaner: what is removed, what is kept, and that cleaning is idempotent."""

from __future__ import annotations

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cleaners.unicode import Options, Unicode

SIGNS = st.sampled_from(
    list("aB1 \t\n\r.中文。\u3000\u00a0\u2003\x00\x07\x0b\x0c\x1c\x1f\x7f\x85\x92\x81\u00ad\u200b\u200d\ufeff\u2028")
    + [
        "ក",
        "ំ",
        "ก",
        "ံ",
        "\u200c",
        "\u0301",
        "\u0323",
        "e",
        "가",
        "\u11a8",
        "\ufffe",
        "�",
        "Å",
        "\r\n",
        "\n\n\n\n",
        "  \n",
    ]
)
TEXTS = st.lists(SIGNS, max_size=40).map("".join) | st.text(max_size=40)


def clean(*texts: str) -> list[str]:
    cleaned: list[str] = Unicode(Options()).clean(pa.array(texts, pa.large_string())).to_pylist()
    return cleaned


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("a\r\nb\rc\x0cd\u2028e", "a\nb\nc\nd\ne"),
        ("nul\x00 bell\x07 del\x7f", "nul bell del"),
        ("\ufeffbom zero\u200bwidth soft\u00adhyphen", "bom zerowidth softhyphen"),
        ("it\x92s \x93so\x94 \x96 fine\x85", "it’s “so” – fine…"),
        ("e\u0301 \u1112\u1161\u11ab", "é 한"),
        ("no\u00a0break em\u2003space", "no break em space"),
        ("trailing  \t\nfull\u3000\n", "trailing\nfull"),
        ("\n\n a\n\n\n\n\nb\n\n", " a\n\n\nb"),
        ("if x:\n    return\t1  # two", "if x:\n    return\t1  # two"),
        ("\u3000\u3000天地玄黄，宇宙洪荒。\n帝京篇\u3000太宗", "\u3000\u3000天地玄黄，宇宙洪荒。\n帝京篇\u3000太宗"),
        ("全角：１２３，ＡＢＣ", "全角：１２３，ＡＢＣ"),
        ("", ""),
        (" \t\n\u3000\n", ""),
        ("👩\u200d💻", "👩\u200d💻"),
        ("ខ្ញុំ\u200bចង់\u200bទៅ\u200bផ្សារ។", "ខ្ញុំ\u200bចង់\u200bទៅ\u200bផ្សារ។"),
        ("ฉัน\u200bไป\u200bตลาด 10\u200bบาท", "ฉัน\u200bไป\u200bตลาด 10\u200bบาท"),
        ("ຂ້ອຍ\u200bໄປ\u200b\u200bຕະຫຼາດ", "ຂ້ອຍ\u200bໄປ\u200bຕະຫຼາດ"),
        ("ကျွန်တော်\u200bဈေး\u200bသွား", "ကျွန်တော်\u200bဈေး\u200bသွား"),
        ("\u200bទៅ \u200bផ្សារ\n\u200bទៅ", "ទៅ ផ្សារ\nទៅ"),
        ("这是\u200b中文，のです\u200bか", "这是中文，のですか"),
        ("می\u200cخواهم क्\u200dष", "می\u200cخواهم क्\u200dष"),
    ],
)
def test_text_is_cleaned(raw: str, cleaned: str) -> None:
    assert clean(raw) == [cleaned]


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXTS, max_size=4))
def test_cleaning_twice_changes_nothing(texts: list[str]) -> None:
    once = clean(*texts)
    assert clean(*once) == once


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_clean_text_is_in_normal_form_without_controls_or_trailing_space(text: str) -> None:
    (cleaned,) = clean(text)
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not [sign for sign in cleaned if unicodedata.category(sign) == "Cc" and sign not in "\n\t"]
    assert all(line == line.rstrip() for line in cleaned.split("\n"))
    assert "\n\n\n\n" not in cleaned and cleaned == cleaned.strip("\n")


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXTS, min_size=2, max_size=5))
def test_a_document_is_cleaned_independently_of_its_neighbours(texts: list[str]) -> None:
    assert clean(*texts) == [clean(text)[0] for text in texts]


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_all_letters_and_marks_are_kept(text: str) -> None:
    normalized = unicodedata.normalize("NFC", text)
    (cleaned,) = clean(text)
    assert [s for s in cleaned if unicodedata.category(s)[0] in "LN"] == [
        s for s in normalized if unicodedata.category(s)[0] in "LN"
    ] or any("\x80" <= sign <= "\x9f" or unicodedata.category(sign) in ("Cf", "Cc", "Cn") for sign in text)


def test_text_that_needs_no_change_is_not_copied() -> None:
    column = pa.array(["plain words\n\n  and 中文。", "é"], pa.large_string())
    assert Unicode(Options()).clean(column) is column


def test_a_slice_and_an_empty_column_are_cleaned() -> None:
    column = pa.array(["skipped \r\n", "a \r\nb", "c"], pa.large_string())
    assert Unicode(Options()).clean(column.slice(1, 2)).to_pylist() == ["a\nb", "c"]
    assert clean() == []
