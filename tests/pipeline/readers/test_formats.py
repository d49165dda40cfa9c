"""The same documents in every format give the same records; only what a position means differs."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.core.errors import UserError
from pipeline.core.files import RawFile
from pipeline.core.listing import match
from pipeline.readers import READERS, create_reader
from pipeline.readers.base import BadRecord, Record
from pipeline.readers.recognition import recognize, wrong_reader

DATA = Path(os.environ.get("BLOOMERY_DATA", "../shared/data"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not there: set BLOOMERY_DATA")
FIELDS = {"id": "id", "text": "text", "url": "url", "language": None}
ROWS = [
    {"id": f"r{number}", "text": f'第 {number} 篇, "quoted"\nand a second line', "url": f"https://example.org/{number}",
     "lang": "zh" if number % 2 else "en", "licence": "CC0", "code": f"00{number}", "missing": "NA"}
    for number in range(50)
]  # fmt: skip


def read(path: Path, reader: str, *, limit: int = 64 << 20, after: int = -1, **options: Any) -> list[Any]:
    created = create_reader({"reader": reader, "fields": FIELDS, **options}, max_record_bytes=limit)
    return list(created.read(RawFile(str(path), path.name, path.stat().st_size, 0.0), after=after))


def without_positions(records: list[Any]) -> list[Any]:
    return [record._replace(position=0) for record in records]


def as_jsonl() -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()


def write_separated(path: Path, delimiter: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(ROWS[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(ROWS)


def write_arrow(path: Path, new: Callable[..., Any]) -> None:
    table = pa.Table.from_pylist(ROWS)
    with new(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=7)


WRITERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a.jsonl": ("jsonl", lambda path: path.write_bytes(as_jsonl())),
    "a.jsonl.gz": ("jsonl", lambda path: path.write_bytes(gzip.compress(as_jsonl()))),
    "a.jsonl.bz2": ("jsonl", lambda path: path.write_bytes(bz2.compress(as_jsonl()))),
    "a.jsonl.xz": ("jsonl", lambda path: path.write_bytes(lzma.compress(as_jsonl()))),
    "a.jsonl.zst": ("jsonl", lambda path: path.write_bytes(zstandard.compress(as_jsonl()))),
    "a.json": ("json", lambda path: path.write_text(json.dumps(ROWS, indent=1))),
    "b.json": ("json", lambda path: path.write_text(json.dumps(ROWS, ensure_ascii=False))),
    "a.csv": ("csv", lambda path: write_separated(path, ",")),
    "a.tsv": ("tsv", lambda path: write_separated(path, "\t")),
    "a.parquet": ("parquet", lambda path: pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=20)),
    "file.arrow": ("arrow", lambda path: write_arrow(path, pa.ipc.new_file)),
    "stream.arrow": ("arrow", lambda path: write_arrow(path, pa.ipc.new_stream)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_documents_and_is_recognized(name: str, tmp_path: Path) -> None:
    reader, write = WRITERS[name]
    write(tmp_path / name)
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "a.jsonl").write_bytes(as_jsonl())
    records = read(tmp_path / name, reader)
    assert without_positions(records) == without_positions(read(tmp_path / "lines" / "a.jsonl", "jsonl"))
    assert recognize(match([f"{tmp_path}/{name}"])) == reader
    resumed = [record for at in (0, 20, 48) for record in read(tmp_path / name, reader, after=records[at].position)[:1]]
    assert resumed == [records[1], records[21], records[49]]


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_of_another_format_is_one_sentence(name: str, tmp_path: Path) -> None:
    reader, write = WRITERS[name]
    write(tmp_path / name)
    problem = wrong_reader(READERS.load("plain"), match([f"{tmp_path}/{name}"]))
    known = {"parquet": "is Parquet: write `reader: parquet`", "arrow": "is Arrow: write `reader: arrow`"}
    assert (problem is None) == (reader not in known)
    assert problem is None or known[reader] in problem


def test_a_source_of_two_formats_names_two_files(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.parquet"):
        WRITERS[name][1](tmp_path / name)
    with pytest.raises(UserError, match="a.jsonl is JSON Lines, but a.parquet is Parquet"):
        recognize(match([str(tmp_path)]))


def test_plain_text_and_markdown_are_taken_for_no_table(tmp_path: Path) -> None:
    texts = ["# Title\n\nOne, two, three.\nFour, five, six.\n", "[a] b\n", "{not json}\n", "你好，世界，再见\n" * 9]
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.md").write_text(text)
    assert recognize(match([str(tmp_path)])) == "plain"


@needs_data
@pytest.mark.parametrize("name", sorted(path.name for path in DATA.glob("formats/docs*")))
def test_the_real_documents_are_the_same_in_every_format(name: str) -> None:
    path = DATA / "formats" / name
    records = read(path, recognize(match([str(path)])))
    lines = read(DATA / "formats" / "docs.jsonl", "jsonl")
    assert len(records) == 58 and without_positions(records) == without_positions(lines)


@needs_data
def test_the_real_documents_as_text_files_have_the_same_texts() -> None:
    records = [
        record for path in sorted((DATA / "formats" / "txt").iterdir()) for record in read(path, "plain", split="file")
    ]
    lines = read(DATA / "formats" / "docs.jsonl", "jsonl")
    assert [record.text.strip() for record in records] == [record.text.strip() for record in lines]


def test_parquet_reads_columns_of_any_string_type_and_class_labels(tmp_path: Path) -> None:
    label = {"info": {"features": {"topic": {"names": ["sport", "财经"], "_type": "ClassLabel"}}}}
    table = pa.table(
        {
            "text": pa.array(["一", "two", None], pa.large_string()),
            "id": pa.array([1, 2, 3], pa.int64()),
            "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
            "raw": pa.array([b"ok", b"\xff", b""], pa.binary()),
            "score": pa.array([0.1, None, 2.0], pa.float32()),
            "flag": [True, False, None],
            "topic": [0, 1, -1],
            "day": pa.array([0, 1, 2], pa.date32()),
            "list": [[1], None, []],
        }
    ).replace_schema_metadata({"huggingface": json.dumps(label)})
    pq.write_table(table, tmp_path / "a.parquet")
    records = read(tmp_path / "a.parquet", "parquet")
    assert records[0] == Record(
        0, "一".encode(), "1", None, None,
        {"kind": "a", "raw": "ok", "score": "0.1", "flag": "true", "topic": "sport", "day": "1970-01-01"},
    )  # fmt: skip
    assert records[1].metadata == {"kind": "b", "flag": "false", "topic": "财经", "day": "1970-01-02"}
    assert records[2].reason == "text_not_a_string"


def test_a_binary_text_column_is_decoded_value_by_value(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"text": pa.array(["好".encode(), b"\xff\xfe", b"x"], pa.binary())}), tmp_path / "a.parquet"
    )
    assert [getattr(record, "reason", "ok") for record in read(tmp_path / "a.parquet", "parquet")] == [
        "ok", "invalid_utf8", "ok",
    ]  # fmt: skip


NESTED = [
    {"data": {"body": "正文", "n": 1}, "meta": {"uid": 7, "iso": "zh"}, "title": "标题"},
    {"data": None, "title": "x"},
]
NESTED_FIELDS = {"id": "meta.uid", "text": ["title", "data.body"], "join": "\n", "url": "url", "language": "meta.iso"}


def test_nested_and_joined_fields_are_the_same_in_json_and_columns(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in NESTED))
    (tmp_path / "a.json").write_text(json.dumps(NESTED))
    pq.write_table(pa.Table.from_pylist(NESTED), tmp_path / "a.parquet")
    expected = [Record(0, "标题\n正文".encode(), "7", None, "zh"), Record(0, b"x")]
    for name, reader in (("a.jsonl", "jsonl"), ("a.json", "json"), ("a.parquet", "parquet")):
        created = create_reader({"reader": reader, "fields": NESTED_FIELDS}, max_record_bytes=1 << 20)
        path = tmp_path / name
        records = list(created.read(RawFile(str(path), name, path.stat().st_size, 0.0)))
        assert without_positions(records) == expected
        assert created.left_out == 1, "data.n lies in a record that metadata cannot hold"


def test_a_nested_text_survives_a_line_that_the_fast_parser_rejects(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"data": {"body": "字", "x": NaN}, "big": 123456789012345678901234567890}\n')
    (record,) = read(tmp_path / "a.jsonl", "jsonl", fields={**FIELDS, "text": "data.body"})
    assert (record.text.decode(), record.metadata) == ("字", {"big": "123456789012345678901234567890"})


def test_a_save_to_disk_folder_is_read_in_the_order_of_its_state(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = {"text": [f"文 {number}" for number in range(30)], "label": [number % 2 for number in range(30)]}
    features = datasets.Features(text=datasets.Value("string"), label=datasets.ClassLabel(names=["no", "yes"]))
    data = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict(train=data, test=data.select(range(5))).save_to_disk(
        tmp_path / "d", num_shards={"train": 3, "test": 1}
    )
    (tmp_path / "d" / "train" / "cache-12.arrow").write_bytes(b"not listed")
    files = READERS.load("arrow").match(READERS.section("arrow")(reader="arrow", paths=[str(tmp_path / "d")]))
    assert [file.name.partition("/")[0] for file in files] == ["test", "train", "train", "train"]
    records = [record for file in files for record in read(Path(file.path), "arrow")]
    assert [record.text.decode() for record in records] == rows["text"][:5] + rows["text"]
    assert records[1].metadata == {"label": "yes"}
    assert recognize(match([str(tmp_path / "d" / "test")])) == "arrow"


def test_damage_of_a_container_is_one_bad_record_that_says_what_is_lost(tmp_path: Path) -> None:
    for name in ("a.parquet", "stream.arrow", "a.json"):
        reader, write = WRITERS[name]
        write(tmp_path / name)
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) * 6 // 10])
        *good, last = read(tmp_path / name, reader)
        assert isinstance(last, BadRecord) and last.reason in ("truncated", "corrupt")
        assert not any(isinstance(record, BadRecord) for record in good)
    damaged = tmp_path / "b.parquet"
    pq.write_table(
        pa.Table.from_pylist(ROWS), damaged, row_group_size=20, use_dictionary=False, write_page_checksum=True
    )
    column = pq.ParquetFile(damaged).metadata.row_group(1).column(1)
    data = bytearray(damaged.read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 60] ^= 1
    damaged.write_bytes(data)
    records = read(damaged, "parquet")
    assert [record.position for record in records if isinstance(record, Record)] == [*range(20), *range(40, 50)]
    (bad,) = [record for record in records if isinstance(record, BadRecord)]
    assert "rows 20 to 39 of row group 1 are lost" in bad.detail


def test_a_parquet_bomb_is_quarantined_without_being_held_in_memory(tmp_path: Path) -> None:
    huge = pa.array(["x" * (40 << 20), "small"])
    pq.write_table(pa.table({"text": huge}), tmp_path / "a.parquet", compression="zstd")
    assert (tmp_path / "a.parquet").stat().st_size < 100_000
    first, second = read(tmp_path / "a.parquet", "parquet", limit=1 << 20)
    assert (first.reason, second.text) == ("record_too_large", b"small")


def test_a_value_that_a_tiny_parquet_file_repeats_is_in_memory_once(tmp_path: Path) -> None:
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 2600, pa.int32()), pa.array(["x" * (1 << 20)]))
    pq.write_table(pa.table({"text": repeated}), tmp_path / "a.parquet", compression="zstd")
    created = create_reader({"reader": "parquet", "fields": FIELDS}, max_record_bytes=64 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    records = created.read(RawFile(str(tmp_path / "a.parquet"), "a.parquet", 1, 0.0))
    assert sum(len(record.text) for record in records if isinstance(record, Record)) == 2600 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10, "KiB"
