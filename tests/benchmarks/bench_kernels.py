"""What each native pass costs: MB of text per CPU-second, one thread, English, Chinese and mixed; best of the rounds.

python tests/benchmarks/bench_kernels.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from measured import DATA, table

from pipeline.cleaners.unicode import Options, Unicode
from pipeline.filters import FILTERS
from pipeline.filters.base import build_filter
from pipeline.filters.rules import apply_rules
from pipeline.kernels import column, edit, lines, ngrams, passes, units
from pipeline.kernels.byte_masks import padded
from pipeline.kernels.compiler import kernel
from pipeline.text import unicode

TOY = "--rounds 1"  # the arguments with which the tests run this file

NO_WORDS = np.zeros(1, np.uint64)
CORPORA = {"English": "corpora/en", "Chinese": "corpora/zh", "mixed": "raw-mixed"}


def texts(folder: str) -> Iterator[str]:
    for path in sorted((DATA / folder).glob("*.jsonl.gz")):
        with gzip.open(path, "rb") as stream:
            for line in stream:
                try:
                    text = json.loads(line)["text"]
                    text.encode()
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                    continue  # raw-mixed holds broken lines on purpose
                yield text


@kernel
def split_all(data: Any, offsets: Any, tables: Any, scratch: Any, out: Any) -> None:
    for d in range(len(offsets) - 1):
        units.split(data, offsets[d], offsets[d + 1], tables, scratch.units, out.units[d])


@kernel
def lines_all(data: Any, offsets: Any, tables: Any, scratch: Any, out: Any) -> None:
    for d in range(len(offsets) - 1):
        lines.measure_lines(
            data, offsets[d], offsets[d + 1], tables.classes, scratch.lines, scratch.slots, out.lines[d]
        )


@kernel
def repeats_all(data: Any, offsets: Any, tables: Any, scratch: Any, out: Any) -> None:
    for d in range(len(offsets) - 1):
        n = units.split(data, offsets[d], offsets[d + 1], tables, scratch.units, out.units[d])
        ngrams.measure_repeats(scratch.units, n, NO_WORDS, scratch.grams, out.repeats[d])


def best(work: Callable[[], object], rounds: int) -> float:
    """CPU-seconds of the fastest of some rounds; the first, which may compile, is thrown away."""
    work()
    found = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return min(found)


def figures(text: pa.Array, language: str | None, rounds: int) -> dict[str, float]:
    """MB per CPU-second of every pass."""
    data, offsets = column.buffers(text)
    size = int(offsets[-1] - offsets[0]) / 1e6
    cleaned = Unicode(Options()).clean(text)
    scratch = passes.DocumentScratch.of(int(np.diff(offsets).max()))
    given = (padded(data, int(offsets[-1])), offsets, unicode.tables(), scratch, passes.DocumentCounts.of(len(text)))
    needs = np.empty(len(text), np.uint8)
    tags = [language] * len(text)
    signals = column.measure(text, tags)
    filters = [build_filter(FILTERS, name, {}) for name in FILTERS.names()]
    # other filters measure signals of their own
    rules = [rule for each in filters for rule in each.rules() if rule.signal in signals]
    timed: dict[str, Callable[[], object]] = {
        "look whether cleaning is needed": lambda: edit.scan(data, offsets, edit.edit_tables().actions, needs),
        "clean (unicode), raw text": lambda: Unicode(Options()).clean(text),
        "clean (unicode), clean text": lambda: Unicode(Options()).clean(cleaned),
        "units and counts": lambda: split_all(*given),
        "lines and paragraphs": lambda: lines_all(*given),
        "units, and n-grams 1 to 10": lambda: repeats_all(*given),
        "all signals (measure)": lambda: column.measure(text, tags),
        "rules": lambda: apply_rules(rules, signals, tags),
        "script (languages)": lambda: column.languages(text),
        "MinHash, 112 permutations": lambda: column.signatures(text, 112, 5),
        "exact shingle sets": lambda: column.shingle_hashes(text, 5),
        "words (of Han, jieba's)": lambda: column.words(text),
    }
    return {name: size / best(work, rounds) for name, work in timed.items()}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    found = {}
    for name, folder in CORPORA.items():
        text = pa.array(list(texts(folder)), pa.large_string())
        language = {"English": "en", "Chinese": "zh"}.get(name)
        found[f"{name} ({text.nbytes / 1e6:.0f} MB)"] = figures(text, language, chosen.rounds)
    names = next(iter(found.values()))
    rows = [[name, *(f"{one[name]:,.0f}" for one in found.values())] for name in names]
    table("MB of text per CPU-second, one thread", ["pass", *found], rows)


if __name__ == "__main__":
    main()
