"""Numbered lines: memory stays below the limit, skipping is exact, encodings other than UTF-8 are reported."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.readers import lines as lines_module
from pipeline.readers.base import BadRecord
from pipeline.readers.lines import lines


def cut(monkeypatch: pytest.MonkeyPatch, data: bytes, size: int, **options: Any) -> list[Any]:
    """The lines of `data` when it arrives in blocks of `size`."""
    data_blocks = [data[start : start + size] for start in range(0, len(data), size)]
    monkeypatch.setattr(lines_module, "blocks", lambda path: iter(data_blocks))
    return list(lines("", **{"limit": 1000, **options}))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([b"", b"a", "汉字".encode(), b"long " * 5, b"\r"]), max_size=12),
    st.integers(1, 30),
    st.integers(-1, 14),
    st.booleans(),
)
def test_lines_equal_those_of_split_for_any_block_size(parts: list[bytes], size: int, after: int, ended: bool) -> None:
    data = b"\n".join(parts) + (b"\n" if ended else b"")
    expected = [(number, line) for number, line in enumerate(data.split(b"\n"), 1) if number > after]
    with pytest.MonkeyPatch.context() as patch:
        result = cut(patch, data, size, after=after)
    if expected and expected[-1][1] == b"":
        expected.pop()  # what follows the last line feed is no line
    assert result == expected


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_a_line_above_the_limit_is_bad_and_the_next_one_is_read(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"one\n" + b"x" * 5000 + b"\nthree\n" + b"y" * 1001
    first, second, third, fourth = cut(monkeypatch, data, size)
    assert (first, third) == ((1, b"one"), (3, b"three"))
    assert (second.position, second.reason, second.raw) == (2, "record_too_large", b"x" * 2000)
    assert (fourth.position, fourth.reason) == (4, "record_too_large")
    assert "5,000 bytes; ingest.max_record_bytes is 1,000" in second.detail


def test_an_endless_line_is_not_held_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    block = b"x" * (1 << 20)
    monkeypatch.setattr(lines_module, "blocks", lambda path: (block for _ in range(200)))
    tracemalloc.start()
    (line,) = lines("", limit=4 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(line, BadRecord)
    assert peak < 16 << 20


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_another_encoding_is_one_bad_record_with_the_command_to_convert(encoding: str, tmp_path: Path) -> None:
    byte_order_mark = b"" if encoding != "utf-16-le" else b"\xff\xfe"
    (tmp_path / "text").write_bytes(byte_order_mark + "文字\nline\n".encode(encoding))
    (bad,) = lines(str(tmp_path / "text"), limit=100)
    assert isinstance(bad, BadRecord)
    assert bad.reason == "not_utf8"
    assert "iconv" in bad.detail


def test_a_byte_order_mark_is_not_part_of_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"\xef\xbb\xbf" + "甲\n乙".encode())
    assert list(lines(str(tmp_path / "text"), limit=100)) == [(1, "甲".encode()), (2, "乙".encode())]
