"""A tiny corpus of packed rows that a model can learn, and the job that trains on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.files import JsonObject, JsonValue
from pipeline.core.job import ClusterOptions, Job
from pipeline.core.manifest import Manifest, content_digest_of, digest_of
from pipeline.core.records import tokens_schema
from pipeline.core.shards import FileEntry, ShardWriter, entry_of
from training.identity import pretrain_params
from training.section import Pretrain

VOCABULARY, LENGTH = 64, 16
TINY: JsonObject = {
    "model": {"family": "gpt", "layers": 2, "heads": 2, "width": 16},
    "steps": 12, "batch_tokens": 8 * LENGTH, "precision": "fp32", "save_every": 4, "validate_every": 6,
    "validate_tokens": 5 * LENGTH, "optimizer": "muon",
}  # fmt: skip


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """101 training rows in two files, 7 held out, the last of each split short; every other token follows from one."""
    root, draw = tmp_path_factory.mktemp("inputs"), np.random.default_rng(3)
    entries = [
        *(_shard(root / "tokens", "train", name, draw, rows) for name, rows in (("a", 50), ("b", 51))),
        _shard(root / "tokens", "validation", "a", draw, 7),
    ]
    (root / "tokenizer").mkdir()
    pieces = {"model": {"vocab": {str(i): i for i in range(VOCABULARY - 1)}}, "added_tokens": [{"id": VOCABULARY - 1}]}
    (root / "tokenizer" / "tokenizer.json").write_text(json.dumps(pieces))
    return {
        "tokens": _published(root / "tokens", "tokens", entries, {"length": LENGTH}),
        "tokenizer": _published(root / "tokenizer", "tokenizer", [entry_of(root / "tokenizer", "tokenizer.json")], {}),
    }


@pytest.fixture
def make_job(tmp_path: Path, inputs: dict[str, Artifact], job_in: Callable[..., Job]) -> Callable[..., Job]:
    """make_job("a", workers=2, steps=20, engine={"zero": {"stage": 2}}) → a Job whose folders exist."""

    def make(name: str, *, workers: int = 1, launcher: str = "local", **options: JsonValue) -> Job:
        section = Pretrain.model_validate({**TINY, **options})
        cluster = ClusterOptions(launcher=launcher, workers=workers, threads=1)
        return job_in(
            tmp_path / name, inputs, cluster=cluster, stage="pretrain", kind="model",
            run="training.stages.pretrain:run", params=pretrain_params(section, 17),
            section=section.model_dump(mode="json"),
        )  # fmt: skip

    return make


def _shard(folder: Path, split: str, stem: str, draw: np.random.Generator, rows: int) -> FileEntry:
    schema = tokens_schema(VOCABULARY)
    tokens = draw.integers(0, VOCABULARY, (rows, LENGTH))
    tokens[:, 1::2] = (tokens[:, 0::2] * 5 + 1) % VOCABULARY
    lists = [row.tolist() for row in tokens]
    if stem == "b" or split == "validation":
        lists[-1] = lists[-1][:5]
    spans = [[{"id": "0" * 32, "start": 0, "end": len(row)}] for row in lists]
    with ShardWriter(folder, split, stem, schema) as shard:
        for first in range(0, rows, 20):
            shard.write(pa.table({"tokens": lists[first : first + 20], "documents": spans[first : first + 20]}, schema))
    assert shard.entry is not None
    return shard.entry


def _published(folder: Path, kind: str, files: list[FileEntry], params: JsonObject) -> Artifact:
    digest = digest_of(files)
    manifest = Manifest(kind, 1, digest, kind, params, {}, tuple(files), {}, digest, content_digest_of(files))
    return Artifact(folder, manifest)
