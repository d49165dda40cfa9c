"""Exact repeats (the finder substrings): tokens in a word and a character, speed beside suffix arrays, what it removes.

    python tests/benchmarks/bench_substrings.py [--megabytes 8] [--min-tokens 50]

Prints the tables of pipeline/passages/README.md, in about two minutes. Suffix arrays are measured where pydivsufsort
(MIT) is installed.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import itertools
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from measured import DATA, table
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from pipeline.core.files import JsonObject
from pipeline.kernels.compiler import kernel
from pipeline.passages import windows as substring_windows
from pipeline.passages.batch import DocumentBatch
from pipeline.text.unicode import UNIT
from pipeline.text.words import kind_of, spans

TOY = "--megabytes 0.2 --vocabulary 400"  # the arguments with which the tests run this file
WINDOW_BYTES = 100  # of the bare limits: as Lee et al.


def records(folder: str) -> Iterator[JsonObject]:
    for path in sorted((DATA / folder).glob("*.jsonl.gz")):
        with gzip.open(path, "rb") as stream:
            for line in stream:
                try:
                    record = json.loads(line)
                    record["text"].encode()
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                    continue  # raw-mixed holds broken lines on purpose
                yield record


def texts(folder: str) -> list[str]:
    return [record["text"] for record in records(folder)]


def cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU-seconds of the faster of two rounds after one that may compile, and the result."""
    work()
    seconds = []
    for _ in range(2):
        started = time.process_time()
        result = work()
        seconds.append(time.process_time() - started)
    return min(seconds), result


def tokens(vocabulary: int) -> None:
    """What byte-level BPE, trained on half of English and Chinese, makes of the other half."""
    halves = {language: texts(f"corpora/{language}") for language in ("en", "zh")}
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator((text for half in halves.values() for text in half[::2]), trainer)
    rows = []
    for language, half in halves.items():
        held = half[1::2]
        count = sum(len(tokenizer.encode(text).ids) for text in held)
        is_own = [kind_of(text[start]) == UNIT for text in held for start, _ in spans(text)]
        size = sum(len(text.encode()) for text in held)
        units = len(is_own)
        rows.append([language, size / count, count / units, 50 * size / count, 50 * units / count, sum(is_own) / units])
    header = [
        "text",
        "bytes a token",
        "tokens a unit",
        "bytes of 50 tokens",
        "units of 50 tokens",
        "share of characters",
    ]
    table(f"Tokens of BPE with {vocabulary:,} pieces, on texts that it was not trained on", header, rows)


@kernel
def roll(data: Any, size: int, out: Any) -> None:
    """A rolling hash of every window of `size` bytes."""
    base, value, power = np.uint64(0x9E3779B97F4A7C15), np.uint64(0), np.uint64(1)
    for i in range(size):
        value = value * base + np.uint64(data[i]) + np.uint64(1)
        power *= base if i else np.uint64(1)
    out[0] = value
    for i in range(size, len(data)):
        value = (value - (np.uint64(data[i - size]) + np.uint64(1)) * power) * base + np.uint64(data[i]) + np.uint64(1)
        out[i - size + 1] = value


def sort_windows(data: np.ndarray) -> int:
    """The bare limit without anchors: hash and sort every window. Returns how many repeat."""
    hashes = np.empty(len(data) - WINDOW_BYTES + 1, np.uint64)
    roll(data, WINDOW_BYTES, hashes)
    hashes.sort()
    return int((hashes[1:] == hashes[:-1]).sum())


def suffix_array(data: np.ndarray) -> int:
    """The way of Lee et al.: sort all suffixes, compare neighbours. Returns how many share WINDOW_BYTES."""
    import pydivsufsort

    order = pydivsufsort.divsufsort(data)
    return int((pydivsufsort.kasai(data, order) >= WINDOW_BYTES).sum())


def removals(batches: list[DocumentBatch], min_tokens: int) -> np.ndarray:
    """All steps of the finder over one file range and one partition, a block at a time."""
    sizes = substring_windows.sizes_of(min_tokens)
    anchors = [substring_windows.make_anchors(substring_windows.anchors_of(batch, sizes), 0) for batch in batches]
    repeated = substring_windows.repeated_anchors(np.concatenate(anchors))
    hashes = substring_windows.hash_table(repeated["hash"])
    first_rows = itertools.accumulate((len(batch) for batch in batches), initial=0)
    found = [
        substring_windows.windows_of(batch, row, sizes, hashes) for row, batch in zip(first_rows, batches, strict=False)
    ]
    block = substring_windows.split_block(np.concatenate(found))
    return substring_windows.pieces(
        substring_windows.resolve(block.repeats, substring_windows.equal_windows(block.first))
    )


def in_batches(column: list[str]) -> list[DocumentBatch]:
    """Batches of about two megabytes, as the stage reads them."""
    ends = np.cumsum([len(text.encode()) for text in column])
    cuts = [0, *(np.flatnonzero(np.diff(ends >> 21)) + 1).tolist(), len(column)]
    return [
        DocumentBatch.of_texts(pa.array(column[first:last], pa.large_string()))
        for first, last in itertools.pairwise(cuts)
    ]


def speed(megabytes: float, min_tokens: int) -> None:
    has_suffix_arrays = importlib.util.find_spec("pydivsufsort") is not None
    rows = []
    for name, folder in {"English": "corpora/en", "Chinese": "corpora/zh", "mixed": "raw-mixed"}.items():
        column = texts(folder)
        ends = np.cumsum([len(text.encode()) + 1 for text in column])
        column = column[: max(1, int(np.searchsorted(ends, megabytes * 1e6)))]
        data = np.frombuffer("\0".join(column).encode(), np.uint8).copy()
        batches, sizes = in_batches(column), substring_windows.sizes_of(min_tokens)
        megabyte = len(data) / 1e6
        own, covering = cpu(lambda batches=batches: removals(batches, min_tokens))
        anchors, _ = cpu(lambda b=batches, s=sizes: [substring_windows.anchors_of(batch, s) for batch in b])
        sort, _ = cpu(lambda data=data: sort_windows(data))
        suffixes = f"{megabyte / cpu(lambda data=data: suffix_array(data))[0]:.1f}" if has_suffix_arrays else "–"
        share = 100 * covering["size"].sum() / len(data)
        speeds = [f"{megabyte / seconds:.0f}" for seconds in (own, anchors, sort)]
        rows.append([f"{name} ({megabyte:.1f} MB)", *speeds, suffixes, f"{share:.2f} %"])
    header = [
        "text", "all steps", "the first pass alone", "hash and sort every window", "suffix array (divsufsort, kasai)",
        "removed",
    ]  # fmt: skip
    table("MB of text per CPU-second, one thread", header, rows)


def removed(min_tokens: int) -> None:
    """What goes of raw-mixed as it is, without any stage before, by what a document is; originals stand first."""
    truth_file = DATA / "raw-mixed.truth" / "docs.jsonl.gz"
    with gzip.open(truth_file, "rt") as stream:
        truth = {row["id"]: row for row in map(json.loads, stream)}
    mixed = [record for record in records("raw-mixed") if record.get("id") in truth]
    mixed.sort(key=lambda record: truth[record["id"]]["kind"] != "base")
    column = [record["text"] for record in mixed]
    lost = np.zeros(len(mixed))
    covering = removals(in_batches(column), min_tokens)
    np.add.at(lost, covering["document"].astype(np.int64), covering["size"])
    size = np.array([len(text.encode()) for text in column])
    by_kind: dict[str, list[int]] = defaultdict(list)
    for at, record in enumerate(mixed):
        row = truth[record["id"]]
        by_kind[row["kind"]].append(at)
        if row["kind"] == "base":
            by_kind[f"base: {row.get('source')}"].append(at)
    rows = []
    for kind in sorted(by_kind):
        at = np.array(by_kind[kind])
        touched = lost[at] > 0
        gone = lost[at] >= 0.9 * size[at]
        share = 100 * lost[at].sum() / max(1, size[at].sum())
        rows.append([kind, len(at), int(touched.sum()), int(gone.sum()), f"{share:.1f} %"])
    header = ["kind", "documents", "that lose text", "that lose 90 % of it", "bytes removed"]
    table(f"raw-mixed at {min_tokens} tokens; the first copy stays, originals stand first", header, rows)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--megabytes", type=float, default=8)
    options.add_argument("--min-tokens", type=int, default=50)
    options.add_argument("--vocabulary", type=int, nargs="+", default=[32_000, 64_000])
    chosen = options.parse_args()
    for vocabulary in chosen.vocabulary:
        tokens(vocabulary)
    speed(chosen.megabytes, chosen.min_tokens)
    removed(chosen.min_tokens)


if __name__ == "__main__":
    main()
