"""Plain text by the file, the paragraph, the line."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from pipeline.core.files import RawFile
from pipeline.readers import reader
from pipeline.readers.base import Bad, Record

DATA = Path(os.environ.get("BLOOMERY_DATA", "no-data"))
TEXT = "第一段\r\nstill the first\r\n\r\n \n第二段\n\n\nthird"


def read(path: Path, split: str, limit: int = 1 << 20, after: int = -1) -> list[Record | Bad]:
    raw = RawFile(str(path), path.name, path.stat().st_size, 0.0)
    return list(reader({"reader": "plain", "split": split}, max_record_bytes=limit).read(raw, after=after))


def shown(found: list[Record | Bad]) -> list[tuple[int, str]]:
    return [(one.position, one.text.decode() if isinstance(one, Record) else one.reason) for one in found]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_bytes(TEXT.encode())
    return tmp_path / "a.txt"


def test_a_file_is_a_document_as_it_stands(path: Path) -> None:
    assert shown(read(path, "file")) == [(0, TEXT)]


def test_paragraphs_begin_where_their_first_line_is(path: Path) -> None:
    assert shown(read(path, "paragraph")) == [(1, "第一段\nstill the first"), (5, "第二段"), (8, "third")]


def test_lines_are_counted_and_blank_ones_are_none(path: Path) -> None:
    assert shown(read(path, "line")) == [(1, "第一段"), (2, "still the first"), (5, "第二段"), (8, "third")]


@pytest.mark.parametrize("split", ["file", "paragraph", "line"])
def test_reading_goes_on_behind_any_position(path: Path, split: str) -> None:
    whole = read(path, split)
    for after in range(9):
        assert read(path, split, after=after) == [one for one in whole if one.position > after]


@pytest.mark.parametrize(("split", "limit", "position"), [("file", 20, 0), ("paragraph", 20, 1), ("line", 13, 2)])
def test_what_is_above_the_limit_is_bad(path: Path, split: str, limit: int, position: int) -> None:
    assert (position, "record_too_large") in shown(read(path, split, limit=limit))


@pytest.mark.parametrize("split", ["file", "paragraph", "line"])
def test_bytes_that_are_not_utf8_are_bad(tmp_path: Path, split: str) -> None:
    (tmp_path / "gbk.txt").write_bytes("汉字".encode("gbk"))
    (found,) = read(tmp_path / "gbk.txt", split)
    assert isinstance(found, Bad)
    assert (found.reason, found.raw) == ("invalid_utf8", "汉字".encode("gbk"))


def test_a_truncated_file_is_one_bad_record(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(TEXT.encode())[:-12])
    assert shown(read(tmp_path / "a.txt.gz", "file")) == [(0, "truncated")]


def test_an_empty_file_is_a_bad_record_and_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    assert shown(read(tmp_path / "empty.txt", "file")) == [(0, "empty_text")]
    assert read(tmp_path / "empty.txt", "line") == []


@pytest.mark.skipif(not DATA.is_dir(), reason="BLOOMERY_DATA names no folder")
def test_real_text_files_come_through_unchanged() -> None:
    for path in sorted((DATA / "formats" / "txt").glob("*.txt")):
        (found,) = read(path, "file")
        assert isinstance(found, Record)
        assert found.text == path.read_bytes().removeprefix(b"\xef\xbb\xbf")
