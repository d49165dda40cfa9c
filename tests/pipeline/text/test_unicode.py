"""The committed table equals the generated one and has the properties that the rules need."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from pipeline.text import generate, unicode
from pipeline.text.scripts import SCRIPTS


def kind(character: str) -> int:
    return int(unicode.tables().classes[ord(character)]) & unicode.KIND


@pytest.mark.skipif(unicodedata.unidata_version != unicode.version(), reason="this Python has another Unicode version")
def test_the_committed_table_equals_the_generated_one(tmp_path: Path) -> None:
    generate.write(tmp_path / "tables.npz", generate.build())
    assert (tmp_path / "tables.npz").read_bytes() == unicode.TABLE.read_bytes()


@pytest.mark.parametrize(
    ("characters", "expected"),
    [
        ("aZéЖωका\u0e35\u17d2\u0ebb\u103c\u3099\u302a", unicode.LETTER),
        ("09٣½Ⅷ２", unicode.DIGIT),
        ("汉漢㐀𠀀かカｶ한ㄅ々〇สກ⺀", unicode.UNIT),
        (" \t\u00a0\u3000\u2003\r\u2028", unicode.SPACE),
        ("\n", unicode.NEWLINE),
        ("'’״·", unicode.MID_LETTER),
        ("_׳\u200d\u00ad\ufe0f", unicode.CONNECTOR),
        (".,，。・=#😀\x00�", unicode.OTHER),
    ],
)
def test_characters_have_the_right_kind(characters: str, expected: int) -> None:
    assert [kind(character) for character in characters] == [expected] * len(characters)


@pytest.mark.parametrize(
    ("character", "folded"),
    [
        ("A", "a"),
        ("Ａ", "a"),
        ("２", "2"),
        ("ﬁ", "fi"),
        ("É", "é"),
        ("ｱ", "ア"),
        ("ŀ", "l·"),
        ("汉", "汉"),
        ("’", "'"),
        ("\u00ad", ""),
    ],
)
def test_folding_gives_lower_case_and_compatibility_form(character: str, folded: str) -> None:
    assert "".join(map(chr, unicode.fold_point(ord(character)))) == folded


def test_a_text_without_a_composing_sign_is_in_normal_form_c() -> None:
    quiet = np.flatnonzero((unicode.tables().classes[:0x30000] & unicode.COMPOSES) == 0)
    quiet = quiet[(quiet < 0xD800) | (quiet > 0xDFFF)]
    shuffled = np.random.default_rng(0).permutation(quiet)
    text = "".join(map(chr, shuffled.tolist()))
    assert unicodedata.normalize("NFC", text) == text


def test_letters_have_the_right_script() -> None:
    numbers = unicode.tables().scripts
    codes = [SCRIPTS[numbers[ord(character)]] for character in "aЖω漢かカ한สअ1 "]
    assert codes == ["Latn", "Cyrl", "Grek", "Hani", "Kana", "Kana", "Hang", "Thai", "Deva", "Zyyy", "Zyyy"]


def test_every_combining_mark_is_one_and_nothing_else_is() -> None:
    classes = unicode.tables().classes
    marks = (classes & unicode.MARK > 0) & (classes & unicode.KIND == unicode.LETTER)
    categories = {unicodedata.category(chr(point)) for point in np.flatnonzero(marks).tolist()}
    assert categories == {"Mn", "Mc", "Me"}
    assert not marks[[ord(character) for character in "aก中か한ကកພ"]].any()


def test_no_mark_begins_with_a_byte_that_the_kernels_pass_over() -> None:
    classes = unicode.tables().classes
    marks = np.flatnonzero((classes & unicode.MARK > 0) & (classes & unicode.KIND != unicode.OTHER))
    first_bytes = {chr(point).encode()[0] for point in marks.tolist()}
    assert min(first_bytes) >= 0xC2 and not first_bytes & set(range(0xE4, 0xEA))
