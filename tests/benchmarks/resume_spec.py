"""The spec and the rows of bench_resume: `FOLDER ENGINE WIDTH LAYERS`. Runs under this version and an earlier one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.core.records import tokens_schema
from pipeline.core.shards import ShardWriter
from training.section import Pretrain
from training.spec import TrainingSpec

VOCABULARY, LENGTH, ROWS = 8192, 32, 66


def main() -> None:
    folder, name = Path(sys.argv[1]), sys.argv[2]
    model = {"family": "gpt", "heads": 4, "width": int(sys.argv[3]), "layers": int(sys.argv[4])}
    kind, _, stage = name.partition("-")
    engine = {"zero": {"stage": int(stage)}} if stage else kind
    section = Pretrain.model_validate(
        {"model": model, "engine": engine, "steps": 4, "batch_tokens": 6 * LENGTH, "precision": "fp32"}
    )
    rows = np.random.default_rng(3).integers(0, VOCABULARY, (ROWS, LENGTH)).tolist()
    schema, shards = tokens_schema(VOCABULARY), []
    for split in ("train", "validation"):
        with ShardWriter(folder, split, "a", schema) as shard:
            spans = [[{"id": "0" * 32, "start": 0, "end": LENGTH}]] * ROWS
            shard.write(pa.table({"tokens": rows, "documents": spans}, schema))
        assert shard.entry is not None
        shards.append((folder / shard.entry.path,))
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {}}}))
    for path in ("a", "scratch", "metrics"):
        (folder / path).mkdir(exist_ok=True)
    spec = TrainingSpec(
        stage="pretrain", section=section, seed=17, threads=1, folder=folder / "a", scratch=folder / "scratch",
        metrics=folder / "metrics", progress="", tokenizer=folder / "tokenizer.json", vocabulary=VOCABULARY,
        length=LENGTH, train=shards[0], validation=shards[1], digest="ab" * 32,
    )  # fmt: skip
    (folder / "spec.json").write_text(json.dumps(spec.to_dict()))


if __name__ == "__main__":
    main()
