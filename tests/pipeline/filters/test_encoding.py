"""The filter `encoding`: junk of invisible characters is found, scripts and emoji that need them are not."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.filters import FILTERS
from pipeline.filters.base import build_filter

JUNK = {
    "zero width": "好\u200b\u200c\u200d\u200b文\u200b\u200b",
    "bidi": "abc \u202e\u202d\u202e\u2066\u2067 def",
    "private use": "\ue000\ue001 text \uf8ff",
    "unassigned": "text \u0378\u0379 more \u0530",
    "tags": "text\U000e0041\U000e0042\U000e0043 more",
    "controls": "a\x01\x02b\x03",
}
GOOD = {
    "persian": "می‌خواهم کتاب‌ها را بخوانم",
    "hindi": "क्‍ष और रा‍ज",
    "emoji": "family 👨‍👩‍👧, ❤️, Wales 🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f " + "word " * 80,
    "arabic": "\u200fالسلام عليكم\u200e (hello)",
    "chinese": "村口有一座冶铁的炉子，每到秋天，铁匠们就从山上下来。",
    "plain": "It is plain.\n\tIndented.",
    "empty": "",
}


def signals(text: str) -> dict[str, float]:
    built = build_filter(FILTERS, "encoding", {})
    documents = pa.table({"text": pa.chunked_array([pa.array([text, "x"], pa.large_string())])})
    return {name: float(values[0]) for name, values in built.signals(documents).items()}


@pytest.mark.parametrize("kind", JUNK)
def test_junk_is_above_the_limit(kind: str) -> None:
    assert signals(JUNK[kind])["invisible_characters"] > 0.02


@pytest.mark.parametrize("kind", GOOD)
def test_text_that_needs_invisible_characters_is_below_the_limit(kind: str) -> None:
    measured = signals(GOOD[kind])
    assert measured["invisible_characters"] <= 0.02 and measured["misread_characters"] == 0


def test_utf_8_that_was_read_as_gbk_is_above_the_limit() -> None:
    misread = GOOD["chinese"].encode().decode("gbk", "replace")
    assert signals(misread)["misread_characters"] > 0.05
    assert signals("锟斤拷锟斤拷烫烫")["misread_characters"] > 0.05
