"""Plain text, with a document for each file, paragraph or line."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from pipeline.core.files import RawFile
from pipeline.readers import create_reader
from pipeline.readers.base import BadRecord, Record

DATA = Path(os.environ.get("BLOOMERY_DATA", "../shared/data"))
TEXT = "第一段\r\nstill the first\r\n\r\n \n第二段\n\n\nthird"


def read(path: Path, split: str, limit: int = 1 << 20, after: int = -1) -> list[Record | BadRecord]:
    raw = RawFile(str(path), path.name, path.stat().st_size, 0.0)
    return list(create_reader({"reader": "plain", "split": split}, max_record_bytes=limit).read(raw, after=after))


def shown(records: list[Record | BadRecord]) -> list[tuple[int, str]]:
    return [
        (record.position, record.text.decode() if isinstance(record, Record) else record.reason) for record in records
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_bytes(TEXT.encode())
    return tmp_path / "a.txt"


def test_a_file_is_one_unchanged_document(path: Path) -> None:
    assert shown(read(path, "file")) == [(0, TEXT)]


def test_the_position_of_a_paragraph_is_its_first_line(path: Path) -> None:
    assert shown(read(path, "paragraph")) == [(1, "第一段\nstill the first"), (5, "第二段"), (8, "third")]


def test_blank_lines_are_counted_but_are_not_documents(path: Path) -> None:
    assert shown(read(path, "line")) == [(1, "第一段"), (2, "still the first"), (5, "第二段"), (8, "third")]


@pytest.mark.parametrize("split", ["file", "paragraph", "line"])
def test_reading_continues_after_any_position(path: Path, split: str) -> None:
    all_records = read(path, split)
    for after in range(9):
        assert read(path, split, after=after) == [record for record in all_records if record.position > after]


@pytest.mark.parametrize(("split", "limit", "position"), [("file", 20, 0), ("paragraph", 20, 1), ("line", 13, 2)])
def test_documents_above_the_limit_are_bad(path: Path, split: str, limit: int, position: int) -> None:
    assert (position, "record_too_large") in shown(read(path, split, limit=limit))


@pytest.mark.parametrize("split", ["file", "paragraph", "line"])
def test_bytes_that_are_not_utf8_are_bad(tmp_path: Path, split: str) -> None:
    (tmp_path / "gbk.txt").write_bytes("汉字".encode("gbk"))
    (bad,) = read(tmp_path / "gbk.txt", split)
    assert isinstance(bad, BadRecord)
    assert (bad.reason, bad.raw) == ("invalid_utf8", "汉字".encode("gbk"))


def test_a_truncated_file_is_one_bad_record(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(TEXT.encode())[:-12])
    assert shown(read(tmp_path / "a.txt.gz", "file")) == [(0, "truncated")]


def test_an_empty_file_is_a_bad_record_and_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    assert shown(read(tmp_path / "empty.txt", "file")) == [(0, "empty_text")]
    assert read(tmp_path / "empty.txt", "line") == []


@pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not there: set BLOOMERY_DATA")
def test_real_text_files_are_read_unchanged() -> None:
    for path in sorted((DATA / "formats" / "txt").glob("*.txt")):
        (record,) = read(path, "file")
        assert isinstance(record, Record)
        assert record.text == path.read_bytes().removeprefix(b"\xef\xbb\xbf")
