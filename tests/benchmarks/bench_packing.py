"""Rows by best fit beside concat-and-chunk: documents cut, rows, and tokens a CPU-second (`pack.packing`).

    python tests/benchmarks/bench_packing.py [--lengths 512 2048] [--copies 8] [--rounds 5]

The documents of corpora/en and corpora/zh, and of both together, with about 3.5 bytes a token: only their lengths
count, so the tokens are made up. Concat is what `pack` does by default (packed_rows.py), best fit is best_fit_rows.py;
both from tokens in memory to Arrow tables. About a minute.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from measured import DATA, table

from pipeline.core.records import tokens_schema
from pipeline.tokenizers.best_fit_rows import BestFitRows
from pipeline.tokenizers.packed_rows import TokenSpan, to_table

TOY = "--lengths 64 --copies 1 --rounds 1"  # the arguments with which the tests run this file

BYTES_PER_TOKEN = 3.5
SCHEMA = tokens_schema(32_000)
ROWS = 1024  # of a table


def documents(languages: list[str], copies: int) -> TokenSpan:
    """Documents as long as those of a corpus, several times over in another order, as flat tokens."""
    paths = [path for language in languages for path in sorted(Path(DATA, "corpora", language).glob("*.jsonl.gz"))]
    sizes = []
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            sizes += [1 + int(len(json.loads(line)["text"].encode()) / BYTES_PER_TOKEN) for line in stream]
    draw = np.random.default_rng(1)
    every = np.concatenate([draw.permutation(sizes) for _ in range(copies)])
    tokens = draw.integers(0, 32_000, every.sum()).astype(np.uint16)
    return TokenSpan(tokens, pa.array([f"{at:032x}" for at in range(len(every))]), np.cumsum(every) - every)


def concat(span: TokenSpan, length: int) -> tuple[int, int]:
    """Documents that lie in several rows, and rows."""
    step = ROWS * length
    rows = sum(len(to_table(span.part(at, at + step), length, SCHEMA)) for at in range(0, len(span.tokens), step))
    last = np.append(span.starts[1:], len(span.tokens)) - 1
    return int((span.starts // length != last // length).sum()), rows


def best_fit(span: TokenSpan, length: int) -> tuple[int, int]:
    rows = BestFitRows(span, length)
    return rows.truncated, sum(len(part) for part in rows.tables(ROWS, SCHEMA))


def measured(pack: Callable[[TokenSpan, int], tuple[int, int]], span: TokenSpan, length: int) -> tuple[int, int, float]:
    start = time.process_time()
    truncated, rows = pack(span, length)
    return truncated, rows, time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=[512, 2048])
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    if not (DATA / "corpora").is_dir():
        sys.exit(f"{DATA}/corpora is not here: set BLOOMERY_DATA")
    printed: list[list[object]] = []
    for name, languages in {"en": ["en"], "zh": ["zh"], "both": ["en", "zh"]}.items():
        span = documents(languages, asked.copies)
        size, count = len(span.tokens), len(span.ids)
        best_fit(span, 64)  # compiles
        for length in asked.lengths:
            rounds = [(measured(concat, span, length), measured(best_fit, span, length)) for _ in range(asked.rounds)]
            (cut, rows, _), (best_cut, best_rows, _) = rounds[0]
            speeds = [statistics.median(size / pair[which][2] / 1e6 for pair in rounds) for which in (0, 1)]
            ratio = statistics.median(pair[0][2] / pair[1][2] for pair in rounds)
            padding = 1 - size / (best_rows * length)
            printed.append(
                [name, length, f"{count:,}", f"{cut / count:.1%}", f"{best_cut / count:.1%}", f"{rows:,}",
                 f"{best_rows:,}", f"{padding:.2%}", *(f"{speed:,.0f}" for speed in speeds), float(ratio)]
            )  # fmt: skip
    header = [
        "corpus", "row", "documents", "cut by concat", "cut by best fit", "rows, concat", "best fit", "of them empty",
        "concat, M tokens/CPU-s", "best fit", "ratio",
    ]  # fmt: skip
    table("packing of documents into rows", header, printed)


if __name__ == "__main__":
    main()
