"""An encoder trained from end to end: whatever is hidden, and with what, follows from the step and the place alone."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.errors import UserError
from pipeline.core.files import JsonObject, JsonValue, write_json
from pipeline.core.inputs import Inputs
from pipeline.core.job import Job, StageOutput
from pipeline.core.manifest import Manifest, content_digest_of, digest_of
from pipeline.core.records import tokens_schema
from pipeline.core.shards import FileEntry, ShardWriter, entry_of
from pipeline.tokenizers.base import TokenizerOptions
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.reference_encoder import load
from training.models.saved import load as load_model
from training.stages.pretrain import run, spec_of

TEXTS = [
    "The quiet river carries a letter past the old station. Nobody has opened it yet! Why not?",
    "安静的河流带着一封信经过古老的车站。村子里还没有人打开它！今天天气很好。",
    "Unbelievably, she does not remember. She remembers everything else, though.",
    "我们去图书馆看书。他们每天都来，老师也来。",
]
MARKS = ("[PAD]", "[CLS]", "[SEP]", "[MASK]")
LENGTH = 32
SMALL: JsonObject = {
    "model": {"family": "bert", "layers": 1, "heads": 2, "width": 16, "dropout": 0.0},
    "steps": 12, "batch_tokens": 8 * LENGTH, "precision": "fp32", "save_every": 4, "validate_every": 6,
    "validate_tokens": 4 * LENGTH, "augment": [],
}  # fmt: skip


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """Rows of four documents in two languages, over and over, and a tokenizer with the marks."""
    root = tmp_path_factory.mktemp("encoder")
    (root / "tokenizer").mkdir()
    tokenizer_json = BytePair(TokenizerOptions(specials=MARKS)).train(TEXTS * 3, 400)
    (root / "tokenizer" / "tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
    reference = load(root / "tokenizer" / "tokenizer.json")
    stream = [token for text in TEXTS * 20 for token in (*reference.encode_text(text), reference.end_of_text)]
    rows = [stream[at : at + LENGTH] for at in range(0, len(stream), LENGTH)]
    entries = [_shard(root / "tokens", "train", rows), _shard(root / "tokens", "validation", rows[:6])]
    return {
        "tokens": _published(root / "tokens", "tokens", entries, {"length": LENGTH}),
        "tokenizer": _published(root / "tokenizer", "tokenizer", [entry_of(root / "tokenizer", "tokenizer.json")], {}),
    }


def _shard(folder: Path, split: str, rows: list[list[int]]) -> FileEntry:
    spans = [[{"id": "0" * 32, "start": 0, "end": len(row)}] for row in rows]
    schema = tokens_schema(1000)
    with ShardWriter(folder, split, "a", schema) as shard:
        shard.write(pa.table({"tokens": rows, "documents": spans}, schema))
    assert shard.entry is not None
    return shard.entry


def _published(folder: Path, kind: str, files: list[FileEntry], params: JsonObject) -> Artifact:
    digest = digest_of(files)
    manifest = Manifest(kind, 1, digest, kind, params, {}, tuple(files), {}, digest, content_digest_of(files))
    return Artifact(folder, manifest)


@pytest.fixture
def make(make_job: Callable[..., Job], inputs: dict[str, Artifact]) -> Callable[..., Job]:
    def make_job_of(name: str, **options: JsonValue) -> Job:
        return replace(make_job(name, **{"optimizer": "adamw", **SMALL, **options}), inputs=Inputs.of(inputs))

    return make_job_of


def curve(job: Job) -> dict[str, list[JsonValue]]:
    columns: dict[str, list[JsonValue]] = pq.read_table(job.folder / "curve.parquet").to_pydict()
    return columns


def digests(outcome: StageOutput) -> dict[str, str]:
    return {file.path: file.sha256 for file in outcome.files}


def masked(**options: JsonValue) -> JsonObject:
    return {"masked": options}


@pytest.mark.long
def test_an_encoder_learns_what_is_hidden(make: Callable[..., Job]) -> None:
    job = make("a", steps=80, optimizer={"adamw": {"lr": 0.01}}, validate_every=40)
    run(job)
    columns = curve(job)
    assert columns["loss"][-1] < 0.8 * columns["loss"][0]
    assert load_model(job.folder / "model").context == LENGTH + 2


@pytest.mark.parametrize(
    ("objective", "engine"),
    [
        (masked(unit="word"), "plain"),
        pytest.param(masked(unit="span", pairs="next_sentence"), {"zero": {"stage": 2}}, marks=pytest.mark.long),
        pytest.param(masked(pairs="sentence_order"), {"zero": {"stage": 3}}, marks=pytest.mark.long),
    ],
    ids=["word", "next sentence, zero 2", "order, zero 3"],
)
def test_two_workers_hide_the_same_and_come_to_the_same_losses(
    make: Callable[..., Job], objective: JsonValue, engine: JsonValue
) -> None:
    single, two = make("one", objective=objective), make("two", objective=objective, workers=2, engine=engine)
    run(single)
    run(two)
    assert curve(single)["rows"] == curve(two)["rows"]
    for name in ("loss", "gradient_norm"):
        assert curve(two)[name] == pytest.approx(curve(single)[name], abs=5e-5)


def test_killed_in_the_middle_the_next_attempt_ends_in_the_same_bytes(make: Callable[..., Job]) -> None:
    options = {"model": {**SMALL["model"], "dropout": 0.1}, "objective": masked(pairs="next_sentence"), "steps": 40}
    whole = run(make("whole", **options))
    job = make("killed", **options)
    kill_at_checkpoint(job)
    outcome = run(job)
    assert outcome.journal["from_step"] >= 4, "it must not begin anew"
    assert digests(outcome) == digests(whole)


def kill_at_checkpoint(job: Job) -> None:
    write_json(job.place.metrics / "spec.json", spec_of(job).to_dict())
    code = (
        "import json, sys\nfrom pathlib import Path\nfrom cluster.launchers import launcher\n"
        "from pipeline.core.job import ClusterOptions, Job\njob = json.loads(sys.argv[1])\n"
        "launcher(ClusterOptions.from_dict(job['resources']['cluster'])).gang('training.trainer.worker:work',"
        " json.loads(Path(sys.argv[2]).read_text()), sizes=[1], job=Job.from_dict(job))"
    )
    plain = json.dumps({**job.to_dict(), "inputs": {}})
    stage = subprocess.Popen([sys.executable, "-c", code, plain, job.place.metrics / "spec.json"], process_group=0)
    while not list((job.folder / "checkpoints").glob("*/*.json")):
        assert stage.poll() is None, job.log.read_text()
        time.sleep(0.002)
    stage.kill()
    stage.wait()


def test_rows_without_two_sentences_are_refused_before_the_first_step(
    make: Callable[..., Job], inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    ids = load(inputs["tokenizer"].file("tokenizer.json")).encode_text("the quiet river carries a letter")
    rows = [np.resize(ids, LENGTH).tolist() for _ in range(9)]
    entries = [_shard(tmp_path / "tokens", "train", rows), _shard(tmp_path / "tokens", "validation", rows[:2])]
    tokens = _published(tmp_path / "tokens", "tokens", entries, {"length": LENGTH})
    job = make("a", objective=masked(pairs="sentence_order"))
    with pytest.raises(UserError, match="two sentences of one document"):
        run(replace(job, inputs=Inputs.of({**inputs, "tokens": tokens})))
