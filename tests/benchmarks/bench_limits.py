"""Each data stage beside its bare limit: CPU-seconds for 100 MB of text, start-up apart, and what has to be done.

    python tests/benchmarks/bench_limits.py [--mb 7] [--copies 2 8] [--rounds 2] [--work DIR]

A limit reads what the stage reads and writes what it writes with Arrow alone, on one thread, without the hashes of the
manifest; where another library does the work of the stage, that library does it. The cost of a stage is the slope
between two sizes of the corpus, and its start-up is the rest. The tokenizer is trained on 2 MB, so its whole cost
counts, for each MB of the sample. Of some rounds the cheapest counts, on both sides.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import awkward
import gigatoken
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import tokenizers
from bench_data_plane import STAGES, manifests, ours, stage_cpu
from enlarge import enlarged, read, write
from isal import igzip
from measured import DATA, measure, table

TOY = "--mb 0.05 --copies 1 2 --rounds 1"  # the arguments with which the tests run this file

ALL_STAGES = [*STAGES[:4], "tokenizer", STAGES[4]]
SAMPLE_BYTES = 2_000_000


def batches(folder: Path, columns: list[str] | None = None) -> Iterator[pa.Table]:
    for path in sorted(folder.glob("*.parquet")):
        with pq.ParquetFile(path, pre_buffer=False) as file:
            for index in range(file.num_row_groups):
                yield file.read_row_group(index, columns=columns, use_threads=False)


def write_again(tables: Iterator[pa.Table], folder: Path) -> None:
    """Write tables as the stages do: zstd of level 1, no statistics, no dictionary."""
    writer = None
    for number, rows in enumerate(tables):
        writer = writer or pq.ParquetWriter(
            folder / f"{number}.parquet", rows.schema, compression="zstd", compression_level=1, use_dictionary=False,
            write_statistics=False,
        )  # fmt: skip
        writer.write_table(rows)
    if writer:
        writer.close()


def ingest(corpus: Path, store: dict[str, Path], out: Path) -> None:
    for path in sorted(corpus.glob("*.jsonl.gz")):
        with igzip.open(path, "rb") as stream:
            for line in stream:
                orjson.loads(line)
    write_again(batches(store["ingest"] / "parts"), out)


def signals(corpus: Path, store: dict[str, Path], out: Path) -> None:
    write_again(batches(store["ingest"] / "parts"), out)
    (out / "signals").mkdir(exist_ok=True)
    write_again(batches(store["signals"] / "signals"), out / "signals")


def clean(corpus: Path, store: dict[str, Path], out: Path) -> None:
    for _ in batches(store["signals"] / "signals"):
        pass
    write_again(batches(store["signals"] / "parts"), out)


def dedupe(corpus: Path, store: dict[str, Path], out: Path) -> None:
    digest = hashlib.sha256()
    for rows in batches(store["clean"] / "parts", ["text"]):
        for chunk in rows["text"].chunks:
            digest.update(chunk.buffers()[2])
    write_again(batches(store["clean"] / "parts"), out)


def tokenizer(corpus: Path, store: dict[str, Path], out: Path) -> None:
    texts, size = list[str](), 0
    for rows in batches(store["dedupe"] / "parts", ["text"]):
        for text in rows["text"].to_pylist():
            size += len(text.encode())
            if size <= SAMPLE_BYTES:
                texts.append(text)
    bare = tokenizers.Tokenizer(tokenizers.models.BPE())
    bare.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    bare.train_from_iterator(
        texts, tokenizers.trainers.BpeTrainer(vocab_size=32000, initial_alphabet=alphabet, show_progress=False)
    )


def pack(corpus: Path, store: dict[str, Path], out: Path) -> None:
    encoder = gigatoken.Tokenizer.from_json((store["tokenizer"] / "tokenizer.json").read_text(encoding="utf-8"))
    for rows in batches(store["dedupe"] / "parts", ["text"]):
        encoder.encode_batch(awkward.from_arrow(rows["text"].combine_chunks()), parallel=False)
    write_again(batches(store["pack"] / "train"), out)


LIMITS: dict[str, tuple[Callable[[Path, dict[str, Path], Path], None], str]] = {
    "ingest": (ingest, "igzip, orjson on each line, write the documents"),
    "signals": (signals, "read and write the documents, read and write the signals"),
    "clean": (clean, "read the signals, read and write the documents"),
    "dedupe": (dedupe, "SHA-256 of the text, read and write the documents"),
    "tokenizer": (tokenizer, "`tokenizers`: training on as much of the text"),
    "pack": (pack, "read the text, gigatoken, read and write the rows"),
}


def best(work: Callable[[], None], rounds: int) -> float:
    """CPU-seconds of the cheapest of some rounds, all threads together."""
    found = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return min(found)


def run_stages(corpus: Path, folder: Path, rounds: int) -> dict[str, float]:
    """CPU-seconds of each stage, in the cheapest of some runs; the first one stays in `folder`."""
    costs: list[dict[str, float]] = []
    for number in range(rounds):
        work = folder.with_name(f"{folder.name}.{number}") if number else folder
        command = [sys.executable, "-m", "cluster.cli", "run", ours(corpus, work), "--to", "pack"]
        measure([*command, f"tokenizer.sample_bytes={SAMPLE_BYTES}"])
        costs.append(stage_cpu(work))
    return {stage: min(cost[stage] for cost in costs) for stage in ALL_STAGES}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--mb", type=float, default=7, help="English text to choose from")
    options.add_argument("--copies", type=int, nargs=2, default=[2, 8], help="how many times over it is measured")
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--work", type=Path)
    chosen = options.parse_args()
    work = chosen.work or Path(tempfile.mkdtemp())
    records, size = [], 0
    for record in read("corpora/en/*.gz", DATA):
        size += len(record["text"])
        if size > chosen.mb * 1e6:
            break
        records.append(record)
    sizes, costs = [], []
    for copies in chosen.copies:
        corpus, folder = work / f"corpus-{copies}", work / f"run-{copies}"
        sizes.append(write(enlarged(records, copies), corpus) / 1e6)
        costs.append(run_stages(corpus, folder, chosen.rounds))
    store = {stage: path.parent for stage, path in manifests(folder).items()}
    rows = []
    for stage in ALL_STAGES:
        run, words = LIMITS[stage]
        (out := work / f"limit-{stage}").mkdir(parents=True, exist_ok=True)
        limit = best(partial(run, corpus, store, out), chosen.rounds)
        small, large = (cost[stage] for cost in costs)
        if stage == "tokenizer":
            text_mb = min(sizes[1], SAMPLE_BYTES / 1e6)
            own, start = large / text_mb, ""
        else:
            text_mb = sizes[1]
            own = (large - small) / (sizes[1] - sizes[0])
            start = f"{small - own * sizes[0]:.2f}"
        bare = limit / text_mb
        rows.append([stage, start, own * 100, bare * 100, own / bare, words])
    header = ["stage", "start-up, CPU-s", "CPU-s for 100 MB", "limit", "ratio", "the limit"]
    table(f"{sizes[0]:.1f} and {sizes[1]:.1f} MB of English text, one worker", header, rows)


if __name__ == "__main__":
    main()
