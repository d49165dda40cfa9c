"""What the data card costs: counting documents by source and language, and building the card of many sources.

    python tests/benchmarks/bench_card.py [--rounds 5] [--sources 100 5000]

Counting is timed on the documents of raw-mixed, beside the count of characters alone, which is its bare limit, and
beside writing the same documents. The card is that of six stages, each source in four languages.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from enlarge import read
from measured import DATA, table

from cluster.report.card import data_card
from cluster.report.data_stage import DataStage
from cluster.report.markdown import markdown
from pipeline.core.records import DOCUMENTS
from pipeline.core.report import Chapter, StageReport
from pipeline.core.shards import ShardWriter
from pipeline.core.source_counts import SourceCounter

TOY = "--rounds 1 --sources 30"  # the arguments with which the tests run this file
ROW_GROUP = 1000  # documents


def documents() -> list[pa.Table]:
    """The documents of raw-mixed, in row groups."""
    records = [record for record in read("raw-mixed/*.gz", DATA) if isinstance(record.get("text"), str)]
    rows = [
        {"id": str(number), "text": record["text"].encode("utf-8", "replace").decode(), "source": record.get("source"),
         "language": record.get("lang"), "metadata": [{"key": key, "value": "CC0"} for key in ("title", "licence")]}
        for number, record in enumerate(records)
    ]  # fmt: skip
    whole = pa.Table.from_pylist(rows, schema=DOCUMENTS)
    return [whole.slice(first, ROW_GROUP).combine_chunks() for first in range(0, len(whole), ROW_GROUP)]


def cpu_seconds(work: Callable[[], object], rounds: int) -> float:
    """The least of several rounds."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def counting(rounds: int) -> None:
    """Print the rates of counting, of its bare limit, and of writing."""
    groups = documents()
    size = sum(pc.sum(pc.binary_length(group["text"])).as_py() for group in groups) / 1e6

    def count() -> None:
        counter = SourceCounter()
        for group in groups:
            counter.add(group)

    def characters() -> None:
        for group in groups:
            pc.utf8_length(group["text"])

    def write() -> None:
        with tempfile.TemporaryDirectory() as folder, ShardWriter(Path(folder), "parts", "a", DOCUMENTS) as shard:
            for group in groups:
                shard.write(group)

    steps = {"count by source, language, licence": count, "characters alone": characters, "write, counted": write}
    rows = [[name, 1000 * seconds, size / max(seconds, 1e-9)] for name, seconds in _timed(steps, rounds)]
    table(f"Counting {size:.0f} MB of documents while they are written", ["step", "CPU-ms", "MB per CPU-s"], rows)


def _timed(steps: dict[str, Callable[[], object]], rounds: int) -> list[tuple[str, float]]:
    return [(name, cpu_seconds(work, rounds)) for name, work in steps.items()]


def stages(sources: int) -> list[DataStage]:
    """Six stages that keep all documents of `sources` sources."""
    measures = {"documents": 1000, "bytes": 4_000_000, "characters": 2_000_000}
    counts: Any = {
        f"source-{number:06d}": {
            "languages": dict.fromkeys(("en", "zh", "zh-Hant", "code"), measures), "licences": {"CC0": 10 * number},
        }
        for number in range(sources)
    }  # fmt: skip
    return [
        DataStage(f"stage-{at}", "documents", ({"out": 4000 * sources, "sources": counts},), ("",), StageReport())
        for at in range(6)
    ]


def card_of(sources: int) -> str:
    """The card as Markdown."""
    card = data_card(stages(sources))
    assert card is not None
    return markdown("bench", card, [Chapter("card", "", card.blocks, of_data=True)])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--sources", type=int, nargs="+", default=[100, 5000])
    chosen = options.parse_args()
    counting(chosen.rounds)
    rows = []
    for sources in chosen.sources:
        seconds = cpu_seconds(partial(card_of, sources), 1)
        tracemalloc.start()
        text = card_of(sources)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        rows.append([f"{sources:,}", seconds, peak / 1e6, len(text) / 1e3])
    header = ["sources", "CPU-s", "peak memory, MB", "data-card.md, kB"]
    table("The data card of six stages, four languages a source", header, rows)


if __name__ == "__main__":
    main()
