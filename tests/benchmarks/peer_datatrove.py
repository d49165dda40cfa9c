"""The peer's side of bench_data_plane.py, run by a Python that has datatrove[io,processing], spacy and ftfy.

    python peer_datatrove.py CORPUS WORK TOKENIZER

One worker: NFC, Gopher repetition and quality, exact, MinHash 14 × 8, tokens. Writes WORK/filtered.ids and
WORK/kept.ids: what its filters keep, and what is left at the end.
"""

from __future__ import annotations

import shutil
import sys
import unicodedata
from pathlib import Path
from typing import Any

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup import (
    ExactDedupFilter,
    ExactDedupSignature,
    ExactFindDedups,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.exact_dedup import ExactDedupConfig
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.tokens import DocumentTokenizer
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.hashing import HashConfig


class Compose(PipelineStep):
    """Unicode NFC, as our `unicode` cleaner does."""

    name = "NFC"
    type = "formatter"

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        for document in data:
            document.text = unicodedata.normalize("NFC", document.text)
            yield document


class Note(PipelineStep):
    """Write the ids that come by."""

    name = "ids"
    type = "writer"

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        with open(self.path, "a") as stream:
            for document in data:
                stream.write(f"{document.id}\n")
                yield document


def text_of(document: Any) -> str:
    return str(document.text)


def main(corpus: str, work: str, tokenizer: str) -> None:
    shutil.rmtree(work, ignore_errors=True)
    Path(work).mkdir(parents=True)
    tasks = len(list(Path(corpus).glob("*.jsonl.gz")))
    exact = ExactDedupConfig(content_getter=text_of)
    minhash = MinhashConfig(
        n_grams=5, num_buckets=14, hashes_per_bucket=8, hash_config=HashConfig(precision=64, hash_fc="xxhash")
    )

    def stage(*steps: Any, tasks: int) -> None:
        LocalPipelineExecutor(list(steps), tasks=tasks, workers=1, logging_dir=f"{work}/logs/{id(steps)}").run()

    stage(
        JsonlReader(corpus, glob_pattern="*.jsonl.gz"), Compose(), GopherRepetitionFilter(), GopherQualityFilter(),
        Note(f"{work}/filtered.ids"), JsonlWriter(f"{work}/filtered"), ExactDedupSignature(f"{work}/exact", exact),
        tasks=tasks,
    )  # fmt: skip
    stage(ExactFindDedups(f"{work}/exact", f"{work}/exact-found", exact), tasks=1)
    stage(
        JsonlReader(f"{work}/filtered"), ExactDedupFilter(f"{work}/exact-found", exact),
        JsonlWriter(f"{work}/distinct"), MinhashDedupSignature(f"{work}/signatures", minhash), tasks=tasks,
    )  # fmt: skip
    stage(MinhashDedupBuckets(f"{work}/signatures", f"{work}/buckets", config=minhash), tasks=14)
    stage(MinhashDedupCluster(f"{work}/buckets", f"{work}/remove", config=minhash), tasks=1)
    stage(
        JsonlReader(f"{work}/distinct"), MinhashDedupFilter(f"{work}/remove"), Note(f"{work}/kept.ids"),
        DocumentTokenizer(f"{work}/tokens", tokenizer, eos_token="<|endoftext|>", batch_size=1000, seed=1), tasks=tasks,
    )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:4])
