"""One writer, the same bytes, names by order and content."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.core.errors import StageFailed
from pipeline.core.records import DOCUMENTS
from pipeline.core.shards import ShardWriter, batches, number, rows, write_table

ROWS = [
    {
        "id": "a",
        "source_id": None,
        "text": "héllo",
        "source": "s",
        "url": None,
        "language": "en",
        "metadata": [("k", "v")],
    },
    {"id": "b", "source_id": "2", "text": "", "source": "s", "url": "u", "language": None, "metadata": []},
    {
        "id": "c",
        "source_id": "3",
        "text": "今天天气很好",
        "source": "s",
        "url": None,
        "language": "zh",
        "metadata": None,
    },
]
TABLE = pa.Table.from_pylist(ROWS, schema=DOCUMENTS)


def write(folder: Path, stem: str, *cuts: int, table: pa.Table = TABLE):  # type: ignore[no-untyped-def]
    with ShardWriter(folder, "parts", stem, DOCUMENTS) as shard:
        start = 0
        for cut in cuts:
            shard.write(table.slice(start, cut))
            start += cut
    return shard.entry


def test_the_same_tables_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = write(tmp_path / "1", "x", 2, 1), write(tmp_path / "2", "x", 2, 1)
    assert first == second
    assert (tmp_path / "1" / first.path).read_bytes() == (tmp_path / "2" / second.path).read_bytes()


def test_the_content_hash_does_not_see_row_groups_but_sees_values(tmp_path: Path) -> None:
    whole, cut = write(tmp_path, "x", 3), write(tmp_path, "y", 1, 2)
    assert whole.sha256 != cut.sha256 and whole.content == cut.content
    changed = TABLE.set_column(5, "language", pa.array(["en", "en", "zh"]))
    assert write(tmp_path, "z", 3, table=changed).content != whole.content
    moved = TABLE.set_column(2, "text", pa.array(["héll", "o", "今天天气很好"], pa.large_string()))
    assert write(tmp_path, "w", 3, table=moved).content != whole.content, "lengths count, not only the joined bytes"


def test_no_rows_leave_no_file(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, "parts", "x", DOCUMENTS) as shard:
        shard.write(TABLE.slice(0, 0))
    assert shard.entry is None and not list((tmp_path / "parts").iterdir())


def test_a_failed_block_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), ShardWriter(tmp_path, "parts", "x", DOCUMENTS) as shard:
        shard.write(TABLE)
        raise RuntimeError("stopped in the middle")
    assert not list((tmp_path / "parts").iterdir())


def test_numbering_may_be_interrupted_and_repeated(tmp_path: Path) -> None:
    entries = [write(tmp_path, "b", 3), write(tmp_path, "a", 1, 2)]
    once = number(tmp_path, entries)
    assert [entry.path.split("-")[1] for entry in once] == ["000000", "000001"], "the order given, not the names"
    assert number(tmp_path, entries) == once == number(tmp_path, once)
    (tmp_path / once[0].path).unlink()
    with pytest.raises(StageFailed, match="gone from the draft"):
        number(tmp_path, entries)


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    entry = write(tmp_path, "x", 2, 1)
    read = list(batches(tmp_path / entry.path))
    assert [table.num_rows for table in read] == [2, 1] and rows(tmp_path / entry.path) == 3
    assert pa.concat_tables(read).schema == DOCUMENTS and pa.concat_tables(read).to_pylist() == TABLE.to_pylist()
    assert list(batches(tmp_path / entry.path, ["id"]))[0].column_names == ["id"]


def test_a_small_table_gets_exactly_its_name(tmp_path: Path) -> None:
    entry = write_table(tmp_path, "curve.parquet", pa.table({"step": [1, 2]}))
    assert entry.path == "curve.parquet" and rows(tmp_path / "curve.parquet") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["curve.parquet"]
