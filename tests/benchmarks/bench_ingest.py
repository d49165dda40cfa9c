"""Ingest: MB of text per CPU-second, step by step and as a whole, and its peak memory at 1 × and 8 × of a corpus.

    python tests/benchmarks/bench_ingest.py [--copies 8] [--rows 6] [--whole ROW]

Steps add up from the top: each row does what those above it do and one thing more. Whole stages run in a process of
their own (`--whole` is that process), Beam's import included.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from measured import DATA, measure, table

from pipeline.core.files import JsonObject, RawFile, sha256_file
from pipeline.core.inputs import Inputs
from pipeline.core.job import Identity, Job, Resources
from pipeline.core.listing import match
from pipeline.core.places import JobPaths
from pipeline.core.records import DOCUMENTS
from pipeline.core.shards import ShardWriter
from pipeline.readers import create_reader
from pipeline.readers.base import BadRecord, Record
from pipeline.readers.batch import Batch
from pipeline.readers.lines import lines
from pipeline.readers.section import Ingest, ingest_params
from pipeline.readers.streams import blocks
from pipeline.stages import ingest

TOY = "--copies 1 --rows 2"  # the arguments with which the tests run this file

CORPORA = {"raw-mixed": "raw-mixed/*.gz", "short Chinese poems": "corpora/zh/poetry.jsonl.gz"}
OPTIONS = {"reader": "jsonl", "fields": {"id": "id", "text": "text", "url": "url", "language": None}}
PACKAGES = ["torch", "numpy", "ray", "transformers", "apache-beam"]
MIXED = {"reader": "jsonl", "paths": f"{DATA}/raw-mixed/*.gz"}
DOCS = {"reader": "python_docs", "packages": [f"{name}=={version(name)}" for name in PACKAGES], "bytes": 20_000_000}
# name → source, how many times over, workers, from how many bytes on in processes
WHOLE: dict[str, tuple[JsonObject, int, int, int]] = {
    "raw-mixed, 1 worker": (MIXED, 1, 1, 1 << 60),
    "raw-mixed × n, 1 worker": (MIXED, 0, 1, 1 << 60),
    "raw-mixed × n, 2 threads": (MIXED, 0, 2, 1 << 60),
    "raw-mixed × n, 2 processes": (MIXED, 0, 2, 0),
    "raw-mixed × n, no language named": ({**MIXED, "fields": {"language": "none"}}, 0, 1, 1 << 60),
    "python_docs, 20 MB of source, 2 processes": (DOCS, 1, 2, 0),
    "one JSONL file × n, 1 worker": ({**MIXED, "one": True}, 0, 1, 1 << 60),
    "one JSONL file × n, 2 processes": ({**MIXED, "one": True}, 0, 2, 0),
    "one Parquet file of n row groups, 1 worker": ({**MIXED, "reader": "parquet", "one": True}, 0, 1, 1 << 60),
    "one Parquet file of n row groups, 2 processes": ({**MIXED, "reader": "parquet", "one": True}, 0, 2, 0),
}


def read(files: list[RawFile]) -> Iterator[tuple[str, Record | BadRecord]]:
    json_reader = create_reader(OPTIONS, max_record_bytes=64 << 20)
    return ((file.name, record) for file in files for record in json_reader.read(file))


def batches(files: list[RawFile]) -> Iterator[Any]:
    batch = Batch("bench", "en")
    for name, record in read(files):
        if isinstance(record, Record):
            batch.add(name, record)
        if batch.full:
            yield batch.documents()
            batch = Batch("bench", "en")
    yield batch.documents()


def written(files: list[RawFile]) -> Iterator[int]:
    with tempfile.TemporaryDirectory() as folder, ShardWriter(Path(folder), "parts", "a", DOCUMENTS) as shard:
        for batch in batches(files):
            shard.write(batch)
            yield batch.num_rows


STEPS: dict[str, Callable[[list[RawFile]], Iterable[Any]]] = {
    "gunzip": lambda files: (block for file in files for block in blocks(file.path)),
    "+ lines": lambda files: (line for file in files for line in lines(file.path, limit=64 << 20)),
    "+ JSON, checks": read,
    "+ ids, Arrow": batches,
    "+ Parquet, hashes": written,
}


def cpu_seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def steps(copies: int) -> None:
    """The best of three, on one thread, no Beam."""
    columns = {name: match([f"{DATA}/{pattern}"]) * copies for name, pattern in CORPORA.items()}
    sizes = {name: sum(len(record.text) for _, record in read(files) if isinstance(record, Record)) / 1e6
             for name, files in columns.items()}  # fmt: skip
    rows = []
    for step, run in STEPS.items():
        best = [min(cpu_seconds(lambda r=run, f=files: [None for _ in r(f)]) for _ in range(3))  # type: ignore[misc]
                for files in columns.values()]  # fmt: skip
        rows.append([step, *(size / seconds for size, seconds in zip(sizes.values(), best, strict=True))])
    table("Ingest step by step, one thread, MB of text per CPU-second", ["step", *columns], rows)


def whole(row: str, copies: int) -> None:
    """One stage in this process; prints what it did as JSON."""
    source, times, workers, processes_from = WHOLE[row]
    ingest.PROCESSES_BYTES = processes_from
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if source.get("one"):
            path = _one_file(root, source["paths"], times or copies, source["reader"])
            source = {"reader": source["reader"], "paths": str(path)}
        elif "paths" in source:
            source = {**source, "paths": str(_copies(root / "raw", source["paths"], times or copies))}
        section = Ingest.model_validate({"sources": [source]})
        listed = [{"source": one.name, "reader": one.reader, "files": [
            {"path": file.path, "name": file.name, "size": file.size, "sha256": sha256_file(file.path)}
            for file in files]} for one, files in section.raw_files()]  # fmt: skip
        identity = Identity("ingest", 1, "documents", "", "0" * 64, ingest_params(section, 17), 17)
        job = Job(identity, Inputs(), JobPaths(root, root, root, root / "log.txt"), Resources(workers), listed)
        start, before = time.monotonic(), os.times()
        counts = ingest.run(job).counts
        after = os.times()
    cpu = sum(after[:4]) - sum(before[:4])
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    print(json.dumps([counts["out"], counts["text_bytes"] / 1e6, time.monotonic() - start, cpu, peak]))


def _copies(folder: Path, pattern: str, times: int) -> Path:
    folder.mkdir()
    for number in range(times):
        for file in match([pattern]):
            (folder / f"{number:03d}-{file.name}").symlink_to(file.path)
    return folder


def _one_file(folder: Path, pattern: str, times: int, reader: str) -> Path:
    """The corpus in one file, so many times over; as Parquet a row group each time."""
    path = folder / f"raw.{reader}"
    lines_of = [
        line for file in match([pattern]) for line in gzip.decompress(Path(file.path).read_bytes()).split(b"\n")
    ]
    if reader == "jsonl":
        with path.open("wb") as stream:
            stream.writelines([b"\n".join(lines_of) + b"\n"] * times)
        return path
    rows = [value for line in lines_of if isinstance(value := _parsed(line), dict)]
    names = ("id", "text", "url", "lang")
    columns = {name: [row.get(name) if isinstance(row.get(name), str) else None for row in rows] for name in names}
    values = pa.table(columns, schema=pa.schema([(name, pa.string()) for name in names]))
    with pq.ParquetWriter(path, values.schema, compression="zstd") as writer:
        for _ in range(times):
            writer.write_table(values, row_group_size=len(rows))
    return path


def _parsed(line: bytes) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--copies", type=int, default=8, help="how often raw-mixed (49 MB of text) is taken")
    options.add_argument("--rows", type=int, default=len(WHOLE), help="how many of the whole stages are measured")
    options.add_argument("--whole", choices=list(WHOLE), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.whole:
        whole(chosen.whole, chosen.copies)
        return
    steps(copies=1)
    rows = []
    for row in list(WHOLE)[: chosen.rows]:
        command = [sys.executable, __file__, "--copies", str(chosen.copies), "--whole", row]
        out, size, wall, cpu, peak = json.loads(measure(command).printed.splitlines()[-1])
        rows.append([row.replace("× n", f"× {chosen.copies}"), f"{out:,}", size, wall, cpu, size / cpu, peak])
    header = ["whole stage", "documents", "MB of text", "wall s", "CPU-s", "MB per CPU-s", "largest process, MiB"]
    table("Ingest as a stage", header, rows)


if __name__ == "__main__":
    main()
