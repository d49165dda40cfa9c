"""The same five documents in five formats, as a new user runs them: what is typed, and how long it takes.

    python tests/benchmarks/bench_new_user.py [--only jsonl parquet] [--work DIR]

No reader is named. Every format has to give the same texts; the bare limit is a process that imports Beam.
"""

from __future__ import annotations

import argparse
import csv
import html
import itertools
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from enlarge import read
from measured import DATA, measure, table

TOY = "--only jsonl"  # the arguments with which the tests run this file

CONFIG = """\
name: five
workdir: {work}
seed: 17
ingest: {{sources: [{{paths: "{paths}"{options}}}]}}
clean: {{filters: [length]}}
dedupe: {{}}
"""


def write_jsonl(folder: Path, texts: Sequence[str]) -> None:
    lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts]
    (folder / "five.jsonl").write_text("".join(lines), encoding="utf-8")


def write_csv(folder: Path, texts: Sequence[str]) -> None:
    with (folder / "five.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["text"], *([text] for text in texts)])


def write_parquet(folder: Path, texts: Sequence[str]) -> None:
    pq.write_table(pa.table({"text": list(texts)}), folder / "five.parquet")


def page_of(text: str) -> bytes:
    paragraphs = "".join(f"<p>{html.escape(line)}</p>" for line in text.splitlines())
    return f"<!DOCTYPE html><html><head><title>Page</title></head><body>{paragraphs}</body></html>".encode()


def write_html(folder: Path, texts: Sequence[str]) -> None:
    for number, text in enumerate(texts):
        (folder / f"{number}.html").write_bytes(page_of(text))


def write_warc(folder: Path, texts: Sequence[str]) -> None:
    with (folder / "five.warc").open("wb") as stream:
        for number, text in enumerate(texts):
            body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + page_of(text)
            header = (
                f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://example.org/{number}\r\n"
                f"WARC-Record-ID: <urn:uuid:{number}>\r\nWARC-Date: 2026-11-30T00:00:00Z\r\n"
                f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            stream.write(header.encode() + body + b"\r\n\r\n")


FORMATS: dict[str, tuple[Callable[[Path, Sequence[str]], None], str, str]] = {
    "jsonl": (write_jsonl, "five.jsonl", ""), "csv": (write_csv, "five.csv", ""),
    "parquet": (write_parquet, "five.parquet", ""), "warc": (write_warc, "five.warc", ", extract: whole"),
    "html": (write_html, "*.html", ", extract: whole"),
}  # fmt: skip


def kept_texts(work: Path) -> list[str]:
    files = sorted(work.glob("store/dedupe/*/parts/*.parquet"))
    return sorted(" ".join(text.split()) for file in files for text in pq.read_table(file)["text"].to_pylist())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="*", choices=list(FORMATS), default=list(FORMATS))
    options.add_argument("--work", type=Path)
    chosen = options.parse_args()
    documents = itertools.chain(*(itertools.islice(read(f"corpora/{name}/*.gz", DATA), 3) for name in ("en", "zh")))
    texts = [record["text"].strip() for record in documents][:5]
    limit = measure([sys.executable, "-c", "import apache_beam"])
    rows: list[list[object]] = [["import apache_beam, for comparison", "", limit.cpu, limit.wall, ""]]
    for name in chosen.only:
        write, paths, extra = FORMATS[name]
        folder = Path(tempfile.mkdtemp(dir=chosen.work))
        write(folder, texts)
        config = folder / "five.yaml"
        config.write_text(CONFIG.format(work=folder / "work", paths=folder / paths, options=extra), encoding="utf-8")
        run = measure([sys.executable, "-m", "cluster.cli", "run", config])
        same = kept_texts(folder / "work") == sorted(" ".join(text.split()) for text in texts)
        rows.append([name, f"`paths: {paths}{extra}`", run.cpu, run.wall, "the same five" if same else "other texts"])
    table("Five documents through ingest, signals, clean and dedupe", ["", "typed", "CPU-s", "s", "texts"], rows)


if __name__ == "__main__":
    main()
