"""Readers: MB of text per CPU-second of the same documents in every format, on one thread, no Beam.

    python tests/benchmarks/bench_readers.py [--most 7761] [--rounds 3]

The first row is the bare limit: the texts are decoded and encoded once. Each reader gives all fields of each document.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from measured import DATA, table

from pipeline.core.files import RawFile
from pipeline.core.listing import match
from pipeline.readers import create_reader
from pipeline.readers.base import Record

TOY = "--most 300 --rounds 1"  # the arguments with which the tests run this file

CORPORA = {"raw-mixed": "raw-mixed/*.gz", "short Chinese poems": "corpora/zh/poetry.jsonl.gz"}
FIELDS = {"id": "id", "text": "text", "url": "url", "language": None}
Rows = list[dict[str, str | None]]


def rows_of(pattern: str, most: int) -> Rows:
    """The documents of a corpus, with the fields that all of them may have."""
    rows: Rows = []
    for file in match([f"{DATA}/{pattern}"]):
        with gzip.open(file.path) as stream:
            for line in stream:
                try:
                    value = orjson.loads(line)
                except orjson.JSONDecodeError:
                    continue
                if isinstance(value, dict) and isinstance(value.get("text"), str) and value["text"].strip():
                    rows.append({key: _string(value.get(key)) for key in ("id", "text", "url", "source", "lang")})
    return rows[:most]


def _string(value: object) -> str | None:
    return value.replace("\r", " ") if isinstance(value, str) else None


def lines(rows: Rows) -> bytes:
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)


def write_separated(rows: Rows, path: Path, delimiter: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def write_arrow(rows: Rows, path: Path) -> None:
    values = pa.Table.from_pylist(rows)
    with pa.ipc.new_stream(str(path), values.schema) as writer:
        writer.write_table(values, max_chunksize=1000)


# name → reader, its options, how the file is written
FORMATS: dict[str, tuple[str, dict[str, Any], Callable[[Rows, Path], object]]] = {
    "jsonl": ("jsonl", {}, lambda rows, path: path.write_bytes(lines(rows))),
    "jsonl, gzip": ("jsonl", {}, lambda rows, path: path.write_bytes(gzip.compress(lines(rows), 6))),
    "jsonl, zstd": ("jsonl", {}, lambda rows, path: path.write_bytes(zstandard.compress(lines(rows)))),
    "json": ("json", {}, lambda rows, path: path.write_bytes(orjson.dumps(rows))),
    "csv": ("csv", {}, lambda rows, path: write_separated(rows, path, ",")),
    "tsv": ("tsv", {}, lambda rows, path: write_separated(rows, path, "\t")),
    "parquet, snappy": ("parquet", {}, lambda rows, path: pq.write_table(pa.Table.from_pylist(rows), path)),
    "parquet, zstd": (
        "parquet", {}, lambda rows, path: pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd"),
    ),
    "arrow (a stream, as `save_to_disk` writes)": ("arrow", {}, write_arrow),
    "plain, a line each": (
        "plain", {"split": "line"},
        lambda rows, path: path.write_text("".join(str(row["text"]).replace("\n", " ") + "\n" for row in rows)),
    ),
}  # fmt: skip


def cpu_seconds(run: Callable[[], object], rounds: int) -> float:
    """The least of some rounds."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def speed(rows: Rows, name: str, rounds: int) -> float:
    reader, options, write = FORMATS[name]
    size = sum(len(str(row["text"]).encode()) for row in rows) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        write(rows, path)
        file = RawFile(str(path), "file", path.stat().st_size, 0.0)

        def read() -> None:
            created = create_reader({"reader": reader, "fields": FIELDS, **options}, max_record_bytes=64 << 20)
            documents = sum(isinstance(record, Record) for record in created.read(file))
            assert documents == len(rows), f"{name}: {documents} of {len(rows)} documents"

        read()  # compiled kernels are loaded
        return size / cpu_seconds(read, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=10_000, help="documents of each corpus")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    corpora = {name: rows_of(pattern, options.most) for name, pattern in CORPORA.items()}
    texts = {name: [str(row["text"]).encode() for row in rows] for name, rows in corpora.items()}
    bare = {
        name: sum(map(len, values))
        / 1e6
        / cpu_seconds(lambda v=values: [t.decode().encode() for t in v], options.rounds)
        for name, values in texts.items()
    }  # type: ignore[misc]
    results = [["bare limit: decode and encode", *bare.values()]]
    for name in FORMATS:
        results.append([name, *(speed(rows, name, options.rounds) for rows in corpora.values())])
    table("Readers, one thread, MB of text per CPU-second", ["format", *corpora], results)


if __name__ == "__main__":
    main()
