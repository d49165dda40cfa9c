"""Every format is read through fsspec as it is from a disk. `memory://` stands for s3://, hf:// and the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.core.files import RawFile
from pipeline.readers import READERS, create_reader, match, recognize, text_problem
from pipeline.readers.section import Ingest
from tests.fuzz.valid_files import VALID_FILES


@pytest.mark.parametrize("name", VALID_FILES)
def test_a_file_behind_a_url_gives_the_same_records(name: str, tmp_path: Path) -> None:
    import fsspec

    valid = VALID_FILES[name]
    url = f"memory://formats/{tmp_path.name}/{name}"
    with fsspec.open(url, "wb", compression=None) as stream:
        stream.write(valid.data())
    (tmp_path / name).write_bytes(valid.data())

    def read(path: str) -> list[Any]:
        reader = create_reader({"reader": valid.reader, **valid.options}, max_record_bytes=1 << 20)
        return list(reader.read(RawFile(path, name, len(valid.data()), 0.0)))

    assert read(url) == read(str(tmp_path / name))
    if name not in ("a.txt", "a.py"):  # JSON to be read as lines of text, and a module whose reader is always named
        assert recognize([url]) == valid.reader
    if "fields" in READERS.section(valid.reader).model_fields:
        (source,) = Ingest.model_validate({"sources": [{"paths": url, "text": "body"}]}).sources
        assert "body" in (text_problem(source, match(source)) or "")


def test_a_damaged_file_behind_a_url_is_one_bad_record() -> None:
    import fsspec

    data = VALID_FILES["a.parquet"].data()[:-50]
    with fsspec.open("memory://formats/cut.parquet", "wb") as stream:
        stream.write(data)
    reader = create_reader({"reader": "parquet", **VALID_FILES["a.parquet"].options}, max_record_bytes=1 << 20)
    (bad,) = reader.read(RawFile("memory://formats/cut.parquet", "cut.parquet", len(data), 0.0))
    assert bad.reason == "truncated"
