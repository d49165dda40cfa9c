"""A divided file gives the records of the file read whole: same positions, none twice, none lost."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.core.files import RawFile
from pipeline.readers import create_reader, divisions
from pipeline.readers.base import BadRecord, Reader
from pipeline.stages.divide import _numbered

FIELDS = {"id": "id", "text": "text", "url": "url", "language": None}
LINES = b"".join(
    b'{"id": "%d", "text": "%s"}%s'
    % (number, "字x".encode() * (number * 7 % 50 + 1), b"\r\n" if number % 3 else b"\n\n")
    for number in range(300)
)


def reader_of(reader: str, **options: Any) -> Reader:
    return create_reader({"reader": reader, "fields": FIELDS, **options}, max_record_bytes=1 << 20)


def raw(path: Path) -> RawFile:
    return RawFile(str(path), path.name, path.stat().st_size, 0.0)


def read_divided(reader: Reader, file: RawFile, span_bytes: int) -> tuple[int, list[Any]]:
    """How many spans there are, and the records of all of them."""
    spans = list(reader.divide(file, span_bytes))
    counts = {}
    for span in spans:
        if span.records < 0:
            records, is_open = reader.count(file, span)
            counts[0, file.name, span.start] = (span._replace(records=records), is_open)
    numbered = _numbered((0, file.name), spans, counts)
    return len(spans), [record for span in numbered for record in reader.read_span(file, span)]


def compressed(data: bytes, compress: Any, sizes: Iterator[int]) -> bytes:
    """The data in members of the given sizes."""
    members = []
    while data:
        size = next(sizes)
        members.append(compress(data[:size]))
        data = data[size:]
    return b"".join(members)


def sizes(seed: int) -> Iterator[int]:
    generator = random.Random(seed)
    while True:
        yield generator.choice((0, 1, 7, 100, 1000, 3000))


@pytest.mark.parametrize("span_bytes", [5, 17, 100, 1000, 5000, 100_000])
@pytest.mark.parametrize("ending", [b"", b'{"text": "no line feed"}', b"\n\n\n", b"\r", b"{broken"])
def test_byte_ranges_of_lines_give_the_records_of_the_whole_file(
    span_bytes: int, ending: bytes, tmp_path: Path
) -> None:
    data = b"\xef\xbb\xbf" + (LINES if span_bytes >= 100 else LINES[:2000]) + ending
    (tmp_path / "a.jsonl").write_bytes(data)
    file = raw(tmp_path / "a.jsonl")
    for reader in (reader_of("jsonl"), reader_of("plain", split="line")):
        spans, records = read_divided(reader, file, span_bytes)
        assert spans == (-(-len(data) // span_bytes) if span_bytes < len(data) else 0)
        assert not spans or records == list(reader.read(file))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["a.gz", "a.zst", "a.bz2"])
def test_members_and_frames_give_the_records_of_the_whole_file(name: str, seed: int, tmp_path: Path) -> None:
    compress = {"a.gz": gzip.compress, "a.zst": zstandard.compress, "a.bz2": bz2.compress}[name]
    (tmp_path / name).write_bytes(compressed(LINES, compress, sizes(seed)))
    file = raw(tmp_path / name)
    reader = reader_of("jsonl")
    for span_bytes in (1000, 2000, 8000):
        spans, records = read_divided(reader, file, span_bytes)
        assert spans > 1
        assert records == list(reader.read(file))


def test_frames_with_skippable_ones_and_checksums_are_found(tmp_path: Path) -> None:
    skippable = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    writers = [zstandard.ZstdCompressor(write_checksum=flag, write_content_size=flag) for flag in (True, False)]
    noise = os.urandom(300_000).hex().encode()
    frames = [skippable + writers[number % 2].compress(LINES[number::3] + noise + b"\n") for number in range(3)]
    (tmp_path / "a.zst").write_bytes(b"".join(frames))
    reader = reader_of("plain", split="line")
    spans, records = read_divided(reader, raw(tmp_path / "a.zst"), 1000)
    assert spans == 3
    assert records == list(reader.read(raw(tmp_path / "a.zst")))


@pytest.mark.parametrize("name", ["a.gz", "a.zst"])
def test_damage_within_a_member_is_reported_once(name: str, tmp_path: Path) -> None:
    compress = {"a.gz": gzip.compress, "a.zst": zstandard.compress}[name]
    data = compressed(LINES, compress, iter([3000] * 100))
    (tmp_path / name).write_bytes(data[: len(data) * 2 // 3])
    reader = reader_of("jsonl")
    spans, records = read_divided(reader, raw(tmp_path / name), 4000)
    assert spans > 1
    assert records == list(reader.read(raw(tmp_path / name)))
    assert [record.reason for record in records if isinstance(record, BadRecord)] == ["truncated"]


def test_one_gzip_member_and_other_encodings_are_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(LINES))
    (tmp_path / "b.txt").write_text("字\n" * 1000, encoding="utf-16")
    assert not reader_of("jsonl").divide(raw(tmp_path / "a.gz"), 100)
    assert not reader_of("jsonl").divide(raw(tmp_path / "b.txt"), 100)


def test_row_groups_and_record_batches_give_the_records_of_the_whole_file(tmp_path: Path) -> None:
    table = pa.table({"text": [f"文 {number}" * (number % 9 + 1) for number in range(1000)], "n": range(1000)})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=90)
    for name, new in (("a.arrow", pa.ipc.new_file), ("b.arrow", pa.ipc.new_stream)):
        with new(str(tmp_path / name), table.schema) as writer:
            writer.write_table(table, max_chunksize=70)
    for name, reader in (("a.parquet", "parquet"), ("a.arrow", "arrow"), ("b.arrow", "arrow")):
        file, created = raw(tmp_path / name), reader_of(reader)
        spans, records = read_divided(created, file, 4000)
        assert spans > 3
        assert records == list(created.read(file))
        assert [record.position for record in records] == list(range(1000))


@pytest.mark.parametrize("span_bytes", [20, 64, 300, 5000])
def test_rows_with_line_ends_in_quotes_give_the_records_of_the_whole_file(
    span_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(divisions, "SCAN_BYTES", 150)
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerows([["id", "text"], *([str(n), f'行 {n}, "x"\n' * (n % 9 + 1)] for n in range(200))])
    (tmp_path / "a.csv").write_text("\ufeff" + stream.getvalue(), encoding="utf-8", newline="")
    reader = reader_of("csv")
    spans, records = read_divided(reader, raw(tmp_path / "a.csv"), span_bytes)
    assert spans > 1
    assert records == list(reader.read(raw(tmp_path / "a.csv"))) and len(records) == 200
