"""CSV and TSV: strings stay as written, and what is broken is quarantined row by row, never a whole file in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.core.files import RawFile
from pipeline.readers import create_reader, match, text_problem
from pipeline.readers.base import BadRecord, Record
from pipeline.readers.section import Ingest

FIELDS = {"id": "id", "text": "text", "url": "url", "language": None}


def read(folder: Path, data: bytes, *, reader: str = "csv", limit: int = 1 << 20, **options: Any) -> list[Any]:
    path = folder / "a.csv"
    path.write_bytes(data)
    created = create_reader({"reader": reader, "fields": FIELDS, **options}, max_record_bytes=limit)
    return list(created.read(RawFile(str(path), path.name, len(data), 0.0)))


def outcome(records: list[Any]) -> list[tuple[int, str]]:
    """Each record as its position and its text, or the reason why it is bad."""
    return [
        (record.position, record.text.decode() if isinstance(record, Record) else record.reason) for record in records
    ]


def test_values_stay_as_they_are_written(tmp_path: Path) -> None:
    (record,) = read(tmp_path, b"id,text,n,empty,null\n007,NA,1.50,,null\n")
    assert record == Record(2, b"NA", "007", None, None, {"n": "1.50", "null": "null"})


def test_byte_order_marks_carriage_returns_and_blank_lines_are_no_content(tmp_path: Path) -> None:
    records = read(tmp_path, '\ufeffid,text\r\n1,一\r\n\r\n2,"two\r\nlines"\r\n'.encode())
    assert outcome(records) == [(2, "一"), (4, "two\r\nlines")]


def test_an_unclosed_quote_costs_its_line_and_not_the_file(tmp_path: Path) -> None:
    rows = [f'{number},"文 {number}"' for number in range(1000)]
    rows[100] = '100,"文 100'
    rows[998] = '998,"open to the end'
    rows[999] = "999,plain"
    records = read(tmp_path, ("id,text\n" + "\n".join(rows) + "\n").encode())
    bad = [record for record in records if isinstance(record, BadRecord)]
    assert len(records) == 1000
    assert [(record.position, record.reason) for record in bad] == [(102, "unclosed_quote"), (1000, "unclosed_quote")]
    assert outcome(records)[-1] == (1001, "plain")


def test_an_unclosed_quote_is_found_within_the_limit_of_a_record(tmp_path: Path) -> None:
    data = b'id,text\n1,"open\n' + b"2,ok\n" * 1000
    records = read(tmp_path, data, limit=2000)
    assert outcome(records)[:2] == [(2, "unclosed_quote"), (3, "ok")]
    assert len(records) == 1001


def test_many_unclosed_quotes_cost_no_square_of_the_time_and_every_line_is_named(tmp_path: Path) -> None:
    # each line opens a quote that the next lines only escape
    data = b"text\n" + b'"a""\n' * 20_000
    records = read(tmp_path, data, limit=1000)
    assert all(isinstance(record, BadRecord) for record in records)
    lost = sum("are lost" in record.detail for record in records)
    assert lost and records[-1].position > 19_000


def test_ragged_rows_and_bytes_that_are_no_text_are_bad_one_by_one(tmp_path: Path) -> None:
    records = read(tmp_path, b"id,text\n1,a,b\n2\n3,\xff\n4,good\n5,\n")
    assert outcome(records) == [
        (2, "ragged_row"), (3, "ragged_row"), (4, "invalid_utf8"), (5, "good"), (6, "empty_text"),
    ]  # fmt: skip
    assert records[0].detail == "3 fields; the header has 2"


@pytest.mark.parametrize("encoding", ["gb18030", "gbk", "utf-16", "utf-8-sig"])
def test_other_encodings_are_read_where_they_are_named(encoding: str, tmp_path: Path) -> None:
    records = read(tmp_path, "id,text\n1,汉字，文本\n2,第二行\n".encode(encoding), encoding=encoding)
    assert outcome(records) == [(2, "汉字，文本"), (3, "第二行")]


def test_a_byte_that_is_wrong_in_an_encoding_costs_its_row(tmp_path: Path) -> None:
    data = "id,text\n1,汉字\n2,".encode("gb18030") + b"\xff\n" + "3,文本\n".encode("gb18030")
    assert outcome(read(tmp_path, data, encoding="gb18030")) == [(2, "汉字"), (3, "invalid_utf8"), (4, "文本")]


def test_a_field_may_be_larger_than_any_block(tmp_path: Path) -> None:
    text = "长文 long,\n" * 300_000
    (record,) = read(tmp_path, f'id,text\n1,"{text}"\n'.encode(), limit=64 << 20)
    assert record.text.decode() == text
    first, second = read(tmp_path, f"id,text\n1,{'x' * 5000}\n2,ok\n".encode(), limit=2000)
    assert (first.reason, second.text) == ("record_too_large", b"ok")


def test_columns_name_a_file_without_a_header_and_repeated_names_are_numbered(tmp_path: Path) -> None:
    (record,) = read(tmp_path, b"1,hello,x\n", columns=["id", "text", "kind"])
    assert (record.position, record.source_id, record.metadata) == (1, "1", {"kind": "x"})
    (record,) = read(tmp_path, b"text,a,a\nx,1,2\n")
    assert record.metadata == {"a": "1", "a_2": "2"}
    (record,) = read(tmp_path, b"text;n\nx;1\n", delimiter=";")
    assert record.metadata == {"n": "1"}


def test_a_missing_text_column_is_one_sentence_with_the_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,正文\n1,x\n")
    (source,) = Ingest.model_validate({"sources": [{"reader": "csv", "paths": str(tmp_path)}]}).sources
    assert text_problem(source, match(source)) == (
        "the files have no column 'text'; they have: id, 正文. Name the field that holds the text: `text: NAME`."
    )
