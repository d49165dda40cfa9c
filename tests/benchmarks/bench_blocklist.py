"""A list of blocked domains: CPU-seconds and memory to build it and to look URLs up, by its number of entries.

    python tests/benchmarks/bench_blocklist.py [--entries 1000000 10000000] [--urls 200000]

Each size is a process of its own. The bare limit is 8 bytes an entry: the file on the disk, which workers map.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl
import pyarrow as pa
from measured import table

from pipeline.core.draft import LocalDraft
from pipeline.core.job import SourceFile
from pipeline.filters import FILTERS
from pipeline.filters.base import build_measuring_filter
from pipeline.filters.blocked_urls import hashes
from pipeline.filters.blocklist_section import BLOCKED_URLS

TOY = "--entries 1000 --urls 100"  # the arguments with which the tests run this file


def write_list(path: Path, entries: int) -> None:
    """Domains of about 20 characters, in no order; one in ten is Chinese."""
    with path.open("w", encoding="utf-8") as stream:
        for start in range(0, entries, 100_000):
            numbers = range(start, min(entries, start + 100_000))
            stream.writelines(
                f"{'网站' if at % 10 == 0 else 'site'}{at * 2654435761 % (1 << 32):x}.example{at % 97}.org\n"
                for at in numbers
            )


def child(path: Path, entries: int, urls: int) -> None:
    """In a process of its own: build the list, then look URLs up, half of which are on it."""
    hashes(pl.Series(["loads and compiles what both need"]))
    started, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    blocklist = build_measuring_filter(FILTERS, BLOCKED_URLS, {"files": [str(path)]})
    folder = path.parent / "built"
    folder.mkdir()
    file: SourceFile = {"name": path.name, "path": str(path), "size": path.stat().st_size, "sha256": ""}
    blocklist.build([{"source": BLOCKED_URLS, "reader": "", "files": [file]}], folder)
    build_s, build_bytes = time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    blocklist.load(LocalDraft(folder))
    domains = path.open(encoding="utf-8").read(urls * 40).splitlines()[: urls // 2]
    listed = pa.chunked_array([[f"https://www.{domain}/a/{number}" for number, domain in enumerate(domains)]])
    others = pa.chunked_array([[f"https://other{number}.example/a" for number in range(urls // 2)]])
    started = time.process_time()
    hits = [float(blocklist.signals(pa.table({"url": column}))[BLOCKED_URLS].sum()) for column in (listed, others)]
    look_up_s = time.process_time() - started
    assert hits == [len(domains), 0.0], hits
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    figures = {"build_s": build_s, "mib": build_bytes / 1024, "us": look_up_s / urls * 1e6, "disk": size / 2**20}
    print(json.dumps(figures))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--entries", type=int, nargs="*", default=[1_000_000, 10_000_000])
    options.add_argument("--urls", type=int, default=200_000)
    options.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.child:
        child(chosen.child, chosen.entries[0], chosen.urls)
        return
    rows: list[list[object]] = []
    for entries in chosen.entries:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "domains.txt"
            write_list(path, entries)
            command = [sys.executable, __file__, "--child", path, "--entries", entries, "--urls", chosen.urls]
            out = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout
            figures = json.loads(out.splitlines()[-1])
            measured = [figures[name] for name in ("build_s", "mib", "disk", "us")]
            rows.append([f"{entries:,}", path.stat().st_size / 1e6, *measured])
    header = ["entries", "file, MB", "build, CPU-s", "memory grown, MiB", "on disk, MiB", "look-up, us a URL"]
    table("A list of blocked domains", header, rows)


if __name__ == "__main__":
    main()
