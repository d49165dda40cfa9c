"""The field with the licence of a document: by name or path, in every format, stored as `licence` in the metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.files import RawFile
from pipeline.readers import create_reader
from pipeline.readers.section import Fields, Ingest

ROWS: list[dict[str, Any]] = [
    {"text": "The smith works.", "licence": "old", "meta": {"terms": "CC BY-SA 4.0", "n": 1}},
    {"text": "铁匠打铁。", "licence": "old", "meta": {"terms": None, "n": 2}},
]


def metadata(path: Path, reader: str, licence: str | None) -> list[dict[str, str] | None]:
    fields = Fields(licence=licence).model_dump(mode="json")
    created = create_reader({"reader": reader, "fields": fields}, max_record_bytes=1 << 20)
    records = list(created.read(RawFile(str(path), path.name, path.stat().st_size, 0.0)))
    return [record.metadata for record in records]


@pytest.fixture(params=["jsonl", "parquet"])
def raw(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    path = tmp_path / f"a.{request.param}"
    if request.param == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    else:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS), encoding="utf-8")
    return path, request.param


def test_a_path_leads_to_the_licence_of_each_document(raw: tuple[Path, str]) -> None:
    with_terms, without = metadata(*raw, "meta.terms")
    assert with_terms is not None and with_terms["licence"] == "CC BY-SA 4.0"
    assert without is not None and without["licence"] == "old"  # its own field, where the named one is empty


def test_without_a_name_the_field_stays_as_it_is(raw: tuple[Path, str]) -> None:
    assert [fields and fields["licence"] for fields in metadata(*raw, None)] == ["old", "old"]


def test_several_licences_are_joined(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "int main;", "licenses": ["MIT", "Apache-2.0"]}\n{"text": "x = 1", "licenses": [1]}\n')
    assert metadata(path, "jsonl", "licenses") == [{"licence": "MIT, Apache-2.0"}, None]


def test_the_options_change_no_fingerprint_unless_they_change_a_document() -> None:
    assert "licence" not in Fields().model_dump(mode="json")
    assert Fields(licence="meta.terms").model_dump(mode="json")["licence"] == "meta.terms"
    sources = [{"reader": "jsonl", "paths": "a", "licence": "CC BY 4.0", "fields": {"licence": "meta.terms"}}]
    (source,) = Ingest.model_validate({"sources": sources}).sources
    assert source.licence == "CC BY 4.0"
