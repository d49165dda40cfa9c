"""Rows of words in which some words stand together, and the job that learns vectors of them."""

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

WORDS, LENGTH, TOPICS = 120, 32, 4
FIRST = 3  # ids 0 … 2 are <|endoftext|>, <unk> and </s>
TINY: JsonObject = {
    "model": {"family": "word2vec", "width": 20}, "epochs": 3, "batch_tokens": 16 * LENGTH,
    "engine": {"blocks": {"blocks": 4}}, "validate_tokens": 5 * LENGTH,
}  # fmt: skip


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """300 training rows in two files, 9 held out; a sentence is of one topic: words of one residue modulo TOPICS."""
    root, draw = tmp_path_factory.mktemp("inputs"), np.random.default_rng(3)
    entries = [
        *(_shard(root / "tokens", "train", name, draw, rows) for name, rows in (("a", 130), ("b", 170))),
        _shard(root / "tokens", "validation", "a", draw, 9),
    ]
    (root / "tokenizer").mkdir()
    special = {"<|endoftext|>": 0, "<unk>": 1, "</s>": 2}
    # half of the words are Chinese
    words = {f"word{i}" if i % 2 else f"词{chr(0x4E00 + i)}": i for i in range(FIRST, FIRST + WORDS)}
    pieces = {
        "model": {"type": "WordLevel", "vocab": {**special, **words}, "unk_token": "<unk>"},
        "added_tokens": [{"id": number, "content": name, "special": True} for name, number in special.items()],
    }
    (root / "tokenizer" / "tokenizer.json").write_text(json.dumps(pieces), encoding="utf-8")
    return {
        "tokens": _published(root / "tokens", "tokens", entries, {"length": LENGTH}),
        "tokenizer": _published(root / "tokenizer", "tokenizer", [entry_of(root / "tokenizer", "tokenizer.json")], {}),
    }


@pytest.fixture
def make_job(tmp_path: Path, inputs: dict[str, Artifact], job_in: Callable[..., Job]) -> Callable[..., Job]:
    """make_job("a", workers=2, objective="cbow") → a Job whose folders exist."""

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
    schema = tokens_schema(FIRST + WORDS)
    # words by a law like Zipf's, sentences of 7 words and an end
    tokens = np.minimum(WORDS // TOPICS - 1, draw.exponential(WORDS / TOPICS / 4, (rows, LENGTH)).astype(int)) * TOPICS
    tokens += np.repeat(draw.integers(0, TOPICS, (rows, LENGTH // 8)), 8, axis=1) + FIRST
    tokens[draw.random((rows, LENGTH)) < 0.02] = 1
    tokens[:, 7::8] = 2
    lists = [row.tolist() for row in tokens]
    lists[-1] = lists[-1][:5]
    spans = [[{"id": "0" * 32, "start": 0, "end": len(row)}] for row in lists]
    with ShardWriter(folder, split, stem, schema) as shard:
        shard.write(pa.table({"tokens": lists, "documents": spans}, schema))
    assert shard.entry is not None
    return shard.entry


def _published(folder: Path, kind: str, files: list[FileEntry], params: JsonObject) -> Artifact:
    digest = digest_of(files)
    manifest = Manifest(kind, 1, digest, kind, params, {}, tuple(files), {}, digest, content_digest_of(files))
    return Artifact(folder, manifest)
