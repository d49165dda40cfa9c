"""Contrastive training from end to end: groups are the same at any number of workers, masks the same after a stop."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import torch.distributed as dist

from pipeline.core.artifact import Artifact
from pipeline.core.errors import UserError
from pipeline.core.files import JsonObject, JsonValue
from pipeline.core.inputs import Inputs
from pipeline.core.job import Job
from pipeline.core.manifest import Manifest, content_digest_of, digest_of
from pipeline.core.records import tokens_schema
from pipeline.core.shards import FileEntry, ShardWriter, entry_of
from training.models.saved import save as save_model
from training.stages.pretrain import run, spec_of
from training.trainer.loop import one_step, save, train
from training.trainer.prepare import prepare

VOCABULARY, LENGTH, ROWS = 100, 32, 96
PIECES = ("<|endoftext|>", "[CLS]", "[SEP]", "[MASK]")
SHAPES: dict[str, JsonObject] = {
    "gpt": {"layers": 1, "heads": 2, "width": 16},
    "bert": {"layers": 1, "heads": 2, "width": 16, "dropout": 0.0},
    "lstm": {"layers": 1, "width": 16},
}
SMALL: JsonObject = {
    "objective": {"contrastive": {"group": 4}}, "steps": 12, "batch_tokens": 16 * LENGTH, "precision": "fp32",
    "save_every": 4, "validate_every": 6, "validate_tokens": 5 * LENGTH, "optimizer": {"adamw": {"lr": 0.01}},
}  # fmt: skip


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """Rows of one or two documents, each of which speaks with a few words of its own."""
    root, draw = tmp_path_factory.mktemp("contrastive"), np.random.default_rng(5)
    rows = [[*_document(draw, at % 29), 0, *_document(draw, at * 7 % 29)][:LENGTH] for at in range(ROWS)]
    pieces = {"model": {"vocab": {f"w{at}": at for at in range(4, VOCABULARY)}}}
    pieces |= {"added_tokens": [{"id": at, "content": name} for at, name in enumerate(PIECES)]}  # type: ignore[dict-item]
    (root / "tokenizer").mkdir()
    (root / "tokenizer" / "tokenizer.json").write_text(json.dumps(pieces), encoding="utf-8")
    entries = [_shard(root / "tokens", "train", rows), _shard(root / "tokens", "validation", rows[:7])]
    return {
        "tokens": _published(root / "tokens", "tokens", entries, {"length": LENGTH}),
        "tokenizer": _published(root / "tokenizer", "tokenizer", [entry_of(root / "tokenizer", "tokenizer.json")], {}),
    }


def _document(draw: np.random.Generator, topic: int) -> list[int]:
    return [int(token) for token in 4 + 3 * topic + draw.integers(0, 6, draw.integers(14, 24))]


def _shard(folder: Path, split: str, rows: list[list[int]]) -> FileEntry:
    spans = [[{"id": "0" * 32, "start": 0, "end": len(row)}] for row in rows]
    schema = tokens_schema(VOCABULARY)
    with ShardWriter(folder, split, "a", schema) as shard:
        shard.write(pa.table({"tokens": rows, "documents": spans}, schema))
    assert shard.entry is not None
    return shard.entry


def _published(folder: Path, kind: JsonValue, files: list[FileEntry], params: JsonObject) -> Artifact:
    digest = digest_of(files)
    manifest = Manifest(kind, 1, digest, kind, params, {}, tuple(files), {}, digest, content_digest_of(files))
    return Artifact(folder, manifest)


@pytest.fixture
def make(make_job: Callable[..., Job], artifacts: dict[str, Artifact]) -> Callable[..., Job]:
    """make("a", "bert", workers=2) → a Job on these rows."""

    def job(name: str, family: str, **options: JsonValue) -> Job:
        model = {"family": family, **SHAPES[family], **options.pop("model", {})}
        return replace(make_job(name, model=model, **{**SMALL, **options}), inputs=Inputs.of(artifacts))

    return job


@pytest.fixture
def alone() -> Iterator[None]:
    """One worker, in this process."""
    store = dist.HashStore()  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def curve(job: Job) -> dict[str, list[JsonValue]]:
    columns: dict[str, list[JsonValue]] = pq.read_table(job.folder / "curve.parquet").to_pydict()
    return columns


@pytest.mark.parametrize("family", list(SHAPES))
def test_each_family_learns_which_texts_belong_together(alone: None, make: Callable[..., Job], family: str) -> None:
    begun = prepare(spec_of(make("a", family, steps=60)), torch.device("cpu"))
    train(begun)
    losses = begun.curve.columns["loss"]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


@pytest.mark.parametrize("engine", ["plain", pytest.param({"zero": {"stage": 2}}, marks=pytest.mark.long)])
def test_two_workers_come_to_the_losses_of_one(make: Callable[..., Job], engine: JsonValue) -> None:
    # micro-batches of one group each at two workers, of all four groups at one
    single = make("one", "bert")
    small = {"plain": {"micro_batch_tokens": 4 * LENGTH}} if engine == "plain" else engine
    two = make("two", "bert", workers=2, engine=small)
    run(single)
    run(two)
    assert curve(single)["rows"] == curve(two)["rows"]
    for name in ("loss", "gradient_norm"):
        assert curve(two)[name] == pytest.approx(curve(single)[name], abs=5e-5)


def test_stopped_at_a_checkpoint_and_gone_on_with_it_ends_in_the_same_weights(
    alone: None, make: Callable[..., Job]
) -> None:
    options: JsonObject = {
        "model": {"dropout": 0.2},
        "objective": {"contrastive": {"group": 4, "positives": "dropout"}},
    }
    train(whole := prepare(spec_of(make("whole", "gpt", **options)), torch.device("cpu")))
    stopped = prepare(spec_of(make("stopped", "gpt", **options)), torch.device("cpu"))
    while stopped.done < 8:
        one_step(stopped)
    save(stopped)
    torch.manual_seed(999)
    train(resumed := prepare(spec_of(make("stopped", "gpt", **options)), torch.device("cpu")))
    assert resumed.curve.columns["loss"] == whole.curve.columns["loss"] and len(resumed.curve.columns["loss"]) == 12
    expected = whole.engine.model.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in resumed.engine.model.state_dict().items())


def test_a_masked_model_goes_on_with_its_own_context(alone: None, make: Callable[..., Job]) -> None:
    masked_job = make("masked", "bert", objective="masked")
    masked, folder = prepare(spec_of(masked_job), torch.device("cpu")), masked_job.folder
    save_model(masked.engine.model, folder / "model")
    artifact = _published(folder, "model", [entry_of(folder, "model/config.json")], {})
    job = make("on", "bert", init="an input")
    begun = prepare(
        spec_of(replace(job, inputs=Inputs.of({**job.inputs.by_kind, "init": artifact}))), torch.device("cpu")
    ).engine.model
    assert begun.context == LENGTH + 2
    before = masked.engine.model.state_dict()
    assert all(torch.equal(tensor, before[name]) for name, tensor in begun.state_dict().items())


def test_a_batch_of_parted_groups_is_refused_before_the_first_step(alone: None, make: Callable[..., Job]) -> None:
    with pytest.raises(UserError, match="groups of 32 rows"):
        prepare(spec_of(make("a", "gpt", objective="contrastive")), torch.device("cpu"))
