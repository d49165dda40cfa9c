"""The peer's side of bench_passages.py, run by a Python that has datatrove[io,processing] and spacy.

    python peer_datatrove_sentences.py CORPUS WORK

Spans of three sentences, one worker, minimal lengths off: what its three steps do in its default reading of C4.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import SentenceDedupFilter, SentenceDedupSignature, SentenceFindDedups
from datatrove.pipeline.dedup.sentence_dedup import SentDedupConfig
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter


def main(corpus: str, work: str) -> None:
    shutil.rmtree(work, ignore_errors=True)
    tasks = len(list(Path(corpus).glob("*.jsonl.gz")))
    config = SentDedupConfig(n_sentences=3, min_doc_words=0, min_num_sentences=0, only_dedup_in_index=False)

    def stage(*steps: Any, tasks: int) -> None:
        LocalPipelineExecutor(list(steps), tasks=tasks, workers=1, logging_dir=f"{work}/logs/{id(steps)}").run()

    read = JsonlReader(corpus, glob_pattern="*.jsonl.gz")
    stage(read, SentenceDedupSignature(f"{work}/signatures", 1, config), tasks=tasks)
    stage(SentenceFindDedups(f"{work}/signatures", f"{work}/found", config=config), tasks=1)
    stage(
        JsonlReader(corpus, glob_pattern="*.jsonl.gz"), SentenceDedupFilter(f"{work}/found", config),
        JsonlWriter(f"{work}/out"), tasks=tasks,
    )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:3])
