"""The layout of Parquet files: equal to what Arrow says of whole files, and damage that Arrow does not survive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.files import RawFile
from pipeline.readers import create_reader
from pipeline.readers.base import AnyRecord, BadRecord, Record
from pipeline.readers.parquet_layout import BYTE_ARRAY, decode, page_problem, read_chunks
from tests.fuzz.mutations import mutate
from tests.fuzz.valid_files import DOCUMENTS, VALID_FILES

TABLE = pa.table(
    {
        "text": [f"第 {number} 篇。" + "word " * (number % 50) for number in range(3000)],
        "score": [number / 7 for number in range(3000)],
        "tags": [["a", "乙"] * (number % 3) for number in range(3000)],
        "meta": [{"lang": "zh", "n": number} for number in range(3000)],
    }
)


@pytest.mark.parametrize(
    "options",
    [
        {}, {"compression": "none", "use_dictionary": False}, {"compression": "gzip", "data_page_version": "2.0"},
        {"row_group_size": 700, "data_page_size": 2000}, {"write_statistics": False, "write_page_checksum": True},
        {"write_page_index": True, "store_decimal_as_integer": True},
    ],
)  # fmt: skip
def test_the_columns_of_a_whole_file_are_those_that_arrow_says(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(TABLE, path, **options)
    metadata = pq.ParquetFile(path).metadata
    with pa.OSFile(str(path)) as source:
        groups = read_chunks(source)
        assert [page_problem(source, chunk) for group in groups for chunk in group] == [""] * sum(map(len, groups))
    assert len(groups) == metadata.num_row_groups
    for index, group in enumerate(groups):
        columns = [metadata.row_group(index).column(number) for number in range(metadata.num_columns)]
        assert [chunk.size for chunk in group] == [column.total_compressed_size for column in columns]
        assert [chunk.has_dictionary for chunk in group] == [column.has_dictionary_page for column in columns]
        assert [chunk.is_bytes for chunk in group] == [column.physical_type == "BYTE_ARRAY" for column in columns]
    assert BYTE_ARRAY == 6


def read_damaged(number: int, folder: Path) -> list[AnyRecord]:
    valid = VALID_FILES["a.parquet"]
    data = mutate(valid.data(), "a.parquet", 17, number)
    (folder / "a.parquet").write_bytes(data)
    reader = create_reader({"reader": "parquet", **valid.options}, max_record_bytes=1 << 20)
    return list(reader.read(RawFile(str(folder / "a.parquet"), "a.parquet", len(data), 0.0)))


@pytest.mark.parametrize(
    ("number", "reason"), [(7180, "claims"), (688, "histogram"), (7172, "begins at byte"), (7765, "no list")]
)
def test_damage_that_ended_the_process_or_took_gigabytes_is_a_bad_record(
    number: int, reason: str, tmp_path: Path
) -> None:
    bad = [record for record in read_damaged(number, tmp_path) if isinstance(record, BadRecord)]
    assert bad and reason in bad[0].detail


def test_a_damaged_name_of_a_column_beside_the_schema_loses_nothing(tmp_path: Path) -> None:
    assert [isinstance(record, Record) for record in read_damaged(683, tmp_path)] == [True] * DOCUMENTS


@pytest.mark.parametrize("data", [b"", b"\x15", b"\x18\x7f", b"\x1c" * 40, b"\x15" + b"\xff" * 12, b"\x1e\x00"])
def test_a_struct_that_is_cut_or_damaged_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="cut|damaged|deep|long|no type"):
        decode(data)
