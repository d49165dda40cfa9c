"""How large a sample a tokenizer needs: bytes per token on documents it never saw, and what training costs.

    python tests/benchmarks/bench_tokenizer.py [--vocabulary 8000 32000] [--megabytes 2 4 8 16 32]

Documents of raw-mixed as published (no planted copies) and the clean corpora; every tenth is held out.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import time

import pyarrow as pa
from enlarge import read
from measured import DATA, table

from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.verified_encoder import VerifiedEncoder

TOY = "--vocabulary 400 --megabytes 1"  # the arguments with which the tests run this file

LARGEST = 1_000_000  # characters: one novel would be a tenth of a sample


def texts() -> list[str]:
    """Distinct documents in a fixed order, languages mixed."""
    with gzip.open(DATA / "raw-mixed.truth" / "docs.jsonl.gz", "rt", encoding="utf-8") as stream:
        published = {record["id"] for record in map(json.loads, stream) if record["kind"] == "base"}
    found = [record["text"] for record in read("raw-mixed/*.gz", DATA) if record.get("id") in published]
    found += [record["text"] for record in read("corpora/*/*.gz", DATA)]
    distinct = sorted({text for text in found if len(text) < LARGEST})
    random.Random(7).shuffle(distinct)
    return distinct


def sample(documents: list[str], size: int) -> list[str]:
    taken, total = [], 0
    for text in documents:
        if total >= size:
            break
        taken.append(text)
        total += len(text.encode())
    return taken


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--vocabulary", type=int, nargs="+", default=[8_000, 32_000])
    options.add_argument("--megabytes", type=int, nargs="+", default=[2, 4, 8, 16, 32])
    chosen = options.parse_args()
    documents = texts()
    held = pa.array(documents[::10], pa.large_string())
    learned = [text for at, text in enumerate(documents) if at % 10]
    size, rows = sum(len(text.encode()) for text in documents[::10]), []
    for vocabulary in chosen.vocabulary:
        for megabytes in chosen.megabytes:
            taken = sample(learned, megabytes * 1_000_000)
            cpu, wall = time.process_time(), time.monotonic()
            json_text = BytePair().train(taken, vocabulary)
            cpu, wall = time.process_time() - cpu, time.monotonic() - wall
            rows.append(
                [f"{vocabulary:,}", megabytes, size / len(VerifiedEncoder(json_text).encode(held).ids), cpu, wall]
            )
    total = sum(len(text.encode()) for text in documents) / 1e6
    header = ["pieces", "sample, MB", "bytes per token, held out", "CPU-s", "wall, s"]
    table(f"Byte-level BPE by size of its sample; {len(documents):,} documents, {total:.0f} MB", header, rows)


if __name__ == "__main__":
    main()
