"""WARC, Parquet and JSONL in one run, from raw files to packed tokens: CPU-seconds and peak memory of each stage.

    python tests/benchmarks/bench_mixed.py [--mb 1000] [--workers 2] [--work DIR]

A third of the text each, English and Chinese, made from the corpora here by `enlarge.py`, so that no copy is a near
duplicate. Memory is that of the process of a stage; the bare limit is the first stage's imports, in the last row.
"""

from __future__ import annotations

import argparse
import gzip
import html
import itertools
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from bench_data_plane import stage_cpu
from enlarge import copy_of, read
from measured import DATA, measure, table

from pipeline.core.files import JsonObject

TOY = "--mb 0.3"  # the arguments with which the tests run this file

FILE_BYTES = 32 << 20
STAGES = ("ingest", "signals", "clean", "dedupe", "tokenizer", "pack")
CONFIG = """\
name: mixed
workdir: {work}
seed: 17
ingest:
  sources:
    - {{name: web, paths: "{corpus}/*.warc.gz", extract: whole}}
    - {{name: tables, paths: "{corpus}/*.parquet"}}
    - {{name: lines, paths: "{corpus}/*.jsonl.gz"}}
clean: {{filters: [length, quality, repetition]}}
dedupe: {{}}
tokenizer: {{vocabulary: 16000}}
pack: {{length: 1024}}
cluster: {{launcher: local, beam: {{workers: {workers}}}}}
"""


def texts(megabytes: float) -> Iterator[str]:
    """Texts of the corpora, again and again with other letters, up to so many megabytes."""
    size = 0
    for number in itertools.count():
        for language in ("en", "zh"):
            for record in read(f"corpora/{language}/*.gz", DATA):
                text = copy_of(record["text"], number)
                size += len(text.encode())
                if size > megabytes * 1e6:
                    return
                yield text


def write_corpus(folder: Path, megabytes: float) -> None:
    """Every file holds FILE_BYTES of text; formats take turns."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, batch in enumerate(batches(texts(megabytes), min(FILE_BYTES, int(megabytes * 1e6) // 3))):
        path = folder / f"{number:04d}"
        if number % 3 == 0:
            with gzip.open(f"{path}.jsonl.gz", "wt", compresslevel=1, encoding="utf-8") as stream:
                stream.writelines(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in batch)
        elif number % 3 == 1:
            pq.write_table(pa.table({"text": batch}), f"{path}.parquet", compression="zstd")
        else:
            records = (warc_record(text, f"https://example.org/{number}/{at}") for at, text in enumerate(batch))
            Path(f"{path}.warc.gz").write_bytes(b"".join(gzip.compress(record, 1) for record in records))


def batches(values: Iterable[str], size_bytes: int) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for value in values:
        batch.append(value)
        size += len(value.encode())
        if size >= size_bytes:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def warc_record(text: str, url: str) -> bytes:
    paragraphs = "".join(f"<p>{html.escape(line)}</p>\n" for line in text.splitlines())
    page = f"<!DOCTYPE html><html><head><title>Page</title></head><body>{paragraphs}</body></html>"
    body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + page.encode()
    header = (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nWARC-Record-ID: <urn:x:{url}>\r\n"
        f"WARC-Date: 2026-11-30T00:00:00Z\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return header.encode() + body + b"\r\n\r\n"


def journals(work: Path) -> dict[str, list[JsonObject]]:
    paths = {path.parts[-3]: path for path in work.glob("store/*/*/journal.jsonl")}
    return {stage: [json.loads(line) for line in path.read_text().splitlines()] for stage, path in paths.items()}


def imports_mib() -> float:
    code = "from pipeline.stages.preload import preload; preload(); import pipeline.stages.dedupe"
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)
    return max(before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--mb", type=float, default=1000)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--work", type=Path)
    chosen = options.parse_args()
    imports = imports_mib()
    folder = chosen.work or Path(tempfile.mkdtemp())
    write_corpus(folder / "corpus", chosen.mb)
    config = folder / "mixed.yaml"
    config.write_text(CONFIG.format(work=folder / "work", corpus=folder / "corpus", workers=chosen.workers))
    run = measure([sys.executable, "-m", "cluster.cli", "run", config])
    cpu, lines = stage_cpu(folder / "work"), journals(folder / "work")
    rows: list[list[object]] = []
    for stage in STAGES:
        peak = max(float(line.get("peak_bytes", 0)) for line in lines[stage]) / 2**20
        rows.append([stage, cpu[stage], chosen.mb / cpu[stage], peak])
    rows.append(["all, with the supervisor", run.cpu, chosen.mb / run.cpu, ""])
    rows.append(["imports alone", "", "", imports])
    sizes = {ending: sum(path.stat().st_size for path in (folder / "corpus").glob(f"*{ending}")) / 1e6
             for ending in (".warc.gz", ".parquet", ".jsonl.gz")}  # fmt: skip
    files = ", ".join(f"{ending[1:]} {size:,.0f} MB" for ending, size in sizes.items())
    title = f"{chosen.mb:,.0f} MB of text ({files}), {chosen.workers} workers, {run.wall:,.0f} s"
    table(title, ["stage", "CPU-s", "MB per CPU-s", "peak memory, MiB"], rows)


if __name__ == "__main__":
    main()
