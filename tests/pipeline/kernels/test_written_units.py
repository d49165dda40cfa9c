"""The kernel for written units compared with the reference `pipeline.text.written_units`."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kernels import column, written_units
from pipeline.text.written_units import WrittenUnit
from pipeline.text.written_units import written_units as reference

ODD = (
    "aZé1_'’ .…#(（“”」—\n\r\t中文。かｱﾞ한ᄀ\u1161ส"
    "\u0e33\u0e35\u0301\u00adקl·״׳ខ\u17d2\u200d\ufe0fﬁＡ😀🏽\x00�〇々𠀀\u3000"
)


def units_of(text: str) -> list[WrittenUnit]:
    data, offsets = column.buffers(pa.array(["left out", text], pa.large_string()))
    out = written_units.scratch(int(np.diff(offsets).max()))
    n = written_units.split(data, offsets[1], offsets[2], written_units.border_tables(), out)
    encoded, units = text.encode(), []
    for begin, stop, weight in zip(out.begin[:n] - offsets[1], out.stop[:n] - offsets[1], out.weight[:n], strict=True):
        start, end = (len(encoded[:at].decode()) for at in (begin, stop))
        units.append(WrittenUnit(start, end, int(weight)))
    return units


@settings(max_examples=300, deadline=None)
@given(st.text(ODD, max_size=80) | st.text(max_size=60))
def test_written_units_equal_those_of_the_reference(text: str) -> None:
    assert units_of(text) == reference(text)


@pytest.mark.parametrize("text", ["", "a", "中", "x" * 100_000, "中" * 2_000, "。" * 9, "\n" * 9, " a  b ", "(a)(b)"])
def test_unusual_texts_are_split(text: str) -> None:
    assert units_of(text) == reference(text)
