"""Evaluation items of every format: the same texts and ids."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.errors import StageFailed
from pipeline.decontamination.items import ItemOptions, read_items

ROWS = [{"id": "q1", "question": "What is it?", "answer": "春天来了"}, {"id": "q2", "question": "", "answer": "42"}]
EXPECTED = [("q1", ["What is it?", "春天来了"]), ("q2", ["42"])]


def read(path: Path, form: str, fields: list[str] | None = None) -> list[tuple[str, list[str]]]:
    return [(item.id, item.texts) for item in read_items(str(path), ItemOptions("t", form, fields, "id"))]


def test_every_format_gives_the_same_items(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "a.json").write_text(json.dumps(ROWS))
    (tmp_path / "a.csv").write_text("id,question,answer\nq1,What is it?,春天来了\nq2,,42\n")
    (tmp_path / "a.tsv").write_text("id\tquestion\tanswer\nq1\tWhat is it?\t春天来了\nq2\t\t42\n")
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    for name in ("a.jsonl.gz", "a.json", "a.csv", "a.tsv", "a.parquet"):
        assert read(tmp_path / name, "." + name.split(".")[1]) == EXPECTED, name
    (tmp_path / "a.txt").write_text("one line\n\n二行\n")
    assert read(tmp_path / "a.txt", ".txt") == [("1", ["one line"]), ("2", ["二行"])]


def test_fields_may_be_nested_and_lists(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": 7, "data": {"ctx": "c", "ends": ["x", "y"]}, "label": "no"}\n')
    assert read(tmp_path / "a.jsonl", ".jsonl") == [("7", ["c", "x", "y", "no"])]
    assert read(tmp_path / "a.jsonl", ".jsonl", ["data.ends", "absent"]) == [("7", ["x", "y"])]


@pytest.mark.parametrize(("content", "message"), [("{broken", "record 1 cannot be read"), ("", "holds no item")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(StageFailed, match=message):
        read(tmp_path / "a.jsonl", ".jsonl")
