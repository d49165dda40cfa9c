"""Decontamination: how many planted copies of items are found, by length of n-gram, and the speed of the scan.

    python tests/benchmarks/bench_decontamination.py [--sizes 13,20 8,12]

Prints the table of pipeline/decontamination/README.md. About a minute.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from measured import DATA, table

from pipeline.core.draft import LocalDraft
from pipeline.decontamination.index import build, load
from pipeline.decontamination.items import Item, ItemOptions, read_items
from pipeline.kernels.column import buffers
from pipeline.kernels.contamination import Sizes

TOY = "--sizes 13,20"  # the arguments with which the tests run this file
MIN_WORDS, MIN_CHARACTERS = 8, 12
MADE_UP = "A sentence of an evaluation item that is in no other text, for a run without the data."


def records() -> Iterator[dict[str, str]]:
    for path in sorted((DATA / "raw-mixed").glob("*.gz")):
        with gzip.open(path, "rb") as stream:
            for line in stream:
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if (
                    isinstance(record, dict)
                    and isinstance(record.get("id"), str)
                    and isinstance(record.get("text"), str)
                ):
                    yield record


def items(tasks: list[str]) -> Iterator[Item]:
    for task in tasks:
        yield from read_items(str(DATA / "eval" / f"{task}.jsonl.gz"), ItemOptions(task, ".jsonl", None, "id"))
    if not tasks:
        yield Item("made-up", "1", [MADE_UP])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--sizes", nargs="+", default=["13,20", "13,13", "13,30", "8,20", "8,12"], help="words,characters"
    )
    arguments = options.parse_args()
    path = DATA / "raw-mixed.truth" / "contamination.jsonl"
    plants = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    tasks = sorted({plant["set"] for plant in plants})
    rows = list(records())
    ids = [row["id"] for row in rows]
    text = pa.array([row["text"].encode("utf-8", "replace").decode() for row in rows] or [MADE_UP], pa.large_string())
    _, offsets = buffers(text)
    size = int(offsets[-1] - offsets[0]) / 1e6
    printed = []
    with tempfile.TemporaryDirectory() as folder:
        for pair in arguments.sizes:
            words, characters = map(int, pair.split(","))
            sizes = Sizes(words, characters, min(words, MIN_WORDS), min(characters, MIN_CHARACTERS))
            build(items(tasks), sizes, Path(folder))
            index = load(LocalDraft(Path(folder)))
            index.scan(text.slice(0, 3))  # compile
            start = time.process_time()
            hits = index.scan(text)
            seconds = time.process_time() - start
            found = defaultdict(set)
            for document, key in zip(hits.document.tolist(), hits.key.tolist(), strict=True):
                found[ids[document] if ids else ""].add(index.items[index.item[key]][0])
            all_plants = Counter(plant["how"] for plant in plants)
            right = Counter(plant["how"] for plant in plants if plant["set"] in found[plant["id"]])
            others = sum(bool(found[name]) for name in set(found) - {plant["id"] for plant in plants})
            shares = [f"{right[how]} of {all_plants[how]}" for how in ("verbatim", "edited-5%")]
            printed.append([pair.replace(",", ", "), *shares, others, size / (seconds + 1e-9)])
    header = ["words, characters", "verbatim", "5 % changed", "other documents", "MB per CPU-second"]
    table(f"Planted copies of {len(tasks)} evaluation sets in {len(rows):,} documents", header, printed)


if __name__ == "__main__":
    main()
