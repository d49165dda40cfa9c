"""Written units: what belongs to a unit, and where a text may be cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.text.words import spans
from pipeline.text.written_units import is_attached, written_units

ODD = "aZ1_'’ .(“”」\n\r中。か한ᄀ\u1161ส\u0e33\u0301\u00ad\u200d\ufe0f😀🏽"


def texts_of(text: str) -> list[str]:
    return [text[unit.start : unit.end] for unit in written_units(text)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('He said: "Go, (now)!" - and left.', ["He", "said:", '"Go,', '(now)!"', "- and", "left."]),
        ("他说：“你好！”然后走了。", ["他", "说：", "“你", "好！”", "然", "后", "走", "了。"]),
        ("# Title\n\n- one\n- 二（2）", ["# Title", "- one", "- 二", "（2）"]),
        ("see http://a.org/b?c=%E4%B8%AD.\r\nEnd", ["see", "http://a.org/b?c=%E4%B8%AD.", "End"]),
        ("half-open（x.y）中a.b中", ["half-open", "（x.y）", "中", "a.b", "中"]),
        ("  … a b …", ["… a", "b"]),
        ("--- ***", []),
    ],
)
def test_punctuation_belongs_to_the_unit_that_it_is_written_to(text: str, parts: list[str]) -> None:
    assert texts_of(text) == parts


@pytest.mark.parametrize(
    "text", ["e!\u0301x", "中\ufe0f文", "ᄀ\u1161\u11a8나", "ก\u0e33น", "ｶﾞｷ", "👩\u200d🚀a 👍🏽b", "葛\U000e0100城"]
)
def test_no_written_unit_begins_within_a_character(text: str) -> None:
    for unit in written_units(text):
        assert not is_attached(text[unit.start])
        assert text[unit.end : unit.end + 1] == "" or not is_attached(text[unit.end])


@pytest.mark.parametrize(
    ("text", "weight"), [("中", 1), ("cat,", 2), ("internationally", 3), ("x" * 64, 28), ("3.14", 4)]
)
def test_a_word_weighs_two_characters_and_a_very_long_one_more(text: str, weight: int) -> None:
    assert sum(unit.weight for unit in written_units(text)) == weight


@settings(max_examples=200, deadline=None)
@given(st.text(ODD, max_size=60))
def test_written_units_are_in_order_and_hold_every_unit_once(text: str) -> None:
    written = written_units(text)
    assert all(before.end <= after.start for before, after in zip(written, written[1:], strict=False))
    for start, end in spans(text):
        assert sum(unit.start <= start and end <= unit.end for unit in written) == 1
    between = [text[before.end : after.start] for before, after in zip(written, written[1:], strict=False)]
    assert not "".join(between).strip("\u200d\u00ad\ufe0f \n\r")
