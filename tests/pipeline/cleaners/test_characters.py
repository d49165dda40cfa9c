"""Cleaners of characters: wrong encodings, widths and marks, traditional and simplified; all idempotent."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.cleaners import CLEANERS
from pipeline.cleaners.base import cleaner_of
from pipeline.core.config import Component, validate_nested

CASES = Path(os.environ.get("BLOOMERY_DATA", "../shared/data")) / "conformance" / "data-juicer.jsonl"
# 少长咸集 has 咸 (all) and not 鹹 (salty): the peer expects what an earlier OpenCC gave
CORRECTED = ("data-juicer-6", "data-juicer-12")
PROSE = "村口有一座冶铁的炉子，每到秋天，铁匠们就从山上下来。"


def clean(name: str, *texts: str, **options: Any) -> list[str]:
    """The cleaned texts; cleaning them again must change nothing."""
    section = validate_nested(CLEANERS.section(name), options, name=name)
    cleaner = cleaner_of(CLEANERS, name, Component(name=name, options=section.model_dump(mode="json")).options)
    once = cleaner.clean(pa.array(texts, pa.large_string()))
    assert cleaner.clean(once).equals(once)
    return once.to_pylist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("text", ["The café isn’t far — “really”.", PROSE])
def test_utf_8_that_was_read_as_latin_1_is_repaired(text: str) -> None:
    pytest.importorskip("ftfy")
    assert clean("mojibake", text.encode().decode("latin-1")) == [text]


def test_gb18030_that_was_read_as_latin_1_is_repaired() -> None:
    pytest.importorskip("ftfy")
    assert clean("mojibake", PROSE.encode("gb18030").decode("latin-1")) == [PROSE]


@pytest.mark.parametrize(
    "text", [PROSE, "“Ünïcödé” très à l’été, naïveté — 100 °C", "ＡＢＣ（全角），ﾃｽﾄ", "<b>&lt;</b>", ""]
)
def test_text_that_is_right_is_not_repaired(text: str) -> None:
    pytest.importorskip("ftfy")
    assert clean("mojibake", text) == [text]


def test_full_width_letters_and_half_width_kana_are_replaced() -> None:
    assert clean("width", "ＡＢＣ１２３，ｶﾞﾊﾟｱ｡好（一）") == ["ABC123，ガパア。好（一）"]


def test_marks_after_chinese_become_chinese() -> None:
    text = "你好,世界!是吗?A,b: c\n完了.\n3.14"
    assert clean("width", text, punctuation="chinese") == ["你好，世界！是吗？A,b: c\n完了。\n3.14"]
    assert clean("width", "你好，世界。（是）", punctuation="ascii") == ["你好,世界.(是)"]


def test_all_compatibility_forms_are_replaced_only_if_told_so() -> None:
    assert clean("width", "ﬁ，㎏") == ["ﬁ，㎏"]
    assert clean("width", "ﬁ，㎏", nfkc=True) == ["fi,kg"]


def test_chinese_is_converted_and_japanese_is_not() -> None:
    pytest.importorskip("opencc")
    japanese = "図書館で発見した本を読む。"
    assert clean("chinese", "這是幾個繁體字", japanese, "plain") == ["这是几个繁体字", japanese, "plain"]
    assert clean("chinese", "网络软件", to="s2twp") == ["網路軟體"]


def test_documents_do_not_change_each_other() -> None:
    assert clean("width", "Ａ", "", "b") == ["A", "", "b"]


@pytest.mark.skipif(not CASES.exists(), reason=f"{CASES} is not there: set BLOOMERY_DATA")
def test_the_cases_of_data_juicer_are_converted_as_there() -> None:
    pytest.importorskip("opencc")
    wrong = []
    for line in CASES.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["op"] == "ChineseConvertMapper" and row["id"] not in CORRECTED:
            name = row["case"].removeprefix("test_")
            cleaner = cleaner_of(CLEANERS, "chinese", {"to": name})
            cleaned = cleaner.clean(pa.array([row["input"]], pa.large_string())).to_pylist()
            if cleaned != [row["expected"]]:
                wrong.append((row["id"], name, cleaned, row["expected"]))
    assert not wrong
