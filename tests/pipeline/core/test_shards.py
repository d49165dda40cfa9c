"""One writer, the same bytes, names by order and content."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.draft import LocalDraft
from pipeline.core.errors import StageFailed
from pipeline.core.records import DOCUMENTS, DUPLICATES, METADATA, QUARANTINE, REJECTED, to_rows, tokens_schema
from pipeline.core.shards import ShardWriter, batches, number, rows, write_table
from pipeline.stages.count import COUNTS
from pipeline.stages.signals import signals_schema
from training.trainer.meter import CURVE

ROWS = [
    {
        "id": "a",
        "source_id": None,
        "text": "héllo",
        "source": "s",
        "url": None,
        "language": "en",
        "metadata": [{"key": "k", "value": "v"}],
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
SPANS = [{"id": "a", "start": 0, "end": 2}]
SHARDS = {
    "documents": (DOCUMENTS, ROWS),
    "signals": (signals_schema([]), [{"id": "a", "units": 2.0}]),
    "rejected": (REJECTED, [{"id": "a", "rule": "length.min_units", "value": 1.0, "text": "héllo"}]),
    "duplicates": (DUPLICATES, [{"id": "b", "kept_id": "a", "method": "exact", "similarity": 1.0}]),
    "quarantine": (QUARANTINE, [{"file": "a.jsonl", "position": 3, "reason": "invalid_utf8", "raw": b"\xff\x00"}]),
    "tokens": (tokens_schema(1 << 10), [{"tokens": [1, 1023], "documents": SPANS}, {"tokens": [], "documents": []}]),
    "tokens of a large vocabulary": (tokens_schema(1 << 17), [{"tokens": [1, 1 << 16], "documents": SPANS}]),
    "counts": (COUNTS, [{"word": 1, "context": 2, "count": 0.5}]),
    "curve": (CURVE, [{"step": 1, "loss": 2.5, "rows": "0f"}]),
}


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
    once = number(LocalDraft(tmp_path), entries)
    assert [entry.path.split("-")[1] for entry in once] == ["000000", "000001"], "the order given, not the names"
    assert number(LocalDraft(tmp_path), entries) == once == number(LocalDraft(tmp_path), once)
    (tmp_path / once[0].path).unlink()
    with pytest.raises(StageFailed, match="gone from the draft"):
        number(LocalDraft(tmp_path), entries)


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


@pytest.mark.parametrize("kind", SHARDS)
def test_the_datasets_library_opens_every_kind_of_shard(tmp_path: Path, kind: str) -> None:
    import datasets  # two seconds, for this test alone

    schema, values = SHARDS[kind]
    table = pa.Table.from_pylist(values, schema=schema)
    with ShardWriter(tmp_path, "parts", "x", schema) as shard:
        shard.write(table)
    assert shard.entry is not None
    path = str(tmp_path / shard.entry.path)
    opened = datasets.load_dataset("parquet", data_files=path, split="train", cache_dir=str(tmp_path / "cache"))
    assert opened.to_list() == table.to_pylist()


def as_a_map(table: pa.Table) -> pa.Table:
    """The documents as the first versions of the stages wrote them."""
    pairs = [None if row is None else [(entry["key"], entry["value"]) for entry in row]
             for row in table["metadata"].to_pylist()]  # fmt: skip
    return table.set_column(6, "metadata", pa.array(pairs, pa.map_(pa.string(), pa.string())))


def test_documents_of_earlier_versions_are_read_with_the_types_of_today(tmp_path: Path) -> None:
    pq.write_table(as_a_map(TABLE), tmp_path / "old.parquet", row_group_size=2)
    read = pa.concat_tables(batches(tmp_path / "old.parquet"))
    assert read.schema == DOCUMENTS and read.to_pylist() == TABLE.to_pylist()
    assert next(batches(tmp_path / "old.parquet", ["metadata"])).schema.field(0).type == METADATA
    assert next(batches(tmp_path / "old.parquet", ["id"])).column_names == ["id"]


def test_documents_of_earlier_versions_are_written_as_those_of_today(tmp_path: Path) -> None:
    pq.write_table(as_a_map(TABLE), tmp_path / "old.parquet")
    with ShardWriter(tmp_path, "parts", "y", DOCUMENTS) as shard:
        for table in batches(tmp_path / "old.parquet"):
            shard.write(table)
    assert shard.entry is not None and shard.entry.content == write(tmp_path, "x", 3).content


def test_the_content_hash_of_metadata_tells_pairs_keys_and_values_apart(tmp_path: Path) -> None:
    def content(*metadata: list[tuple[str, str]] | None) -> str:
        rows = [{**ROWS[0], "metadata": None if entries is None else [{"key": k, "value": v} for k, v in entries]}
                for entries in metadata]  # fmt: skip
        return str(write(tmp_path, "m", len(rows), table=pa.Table.from_pylist(rows, schema=DOCUMENTS)).content)

    columns = [
        ([("a", "b"), ("c", "d")], []), ([("a", "b")], [("c", "d")]), ([("ab", ""), ("c", "d")], []),
        ([("a", "b"), ("c", "d")], None),
    ]  # fmt: skip
    assert len({content(*metadata) for metadata in columns}) == len(columns)


def test_a_row_for_python_code_holds_its_metadata_as_pairs() -> None:
    assert [row["metadata"] for row in to_rows(TABLE)] == [[("k", "v")], [], []]
    assert to_rows(TABLE.select(["id"])) == [{"id": "a"}, {"id": "b"}, {"id": "c"}]
