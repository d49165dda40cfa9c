"""GloVe from end to end on a small table: it learns, in one process or two, killed and resumed, to the same bits."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.files import JsonObject, JsonValue, write_json
from pipeline.core.job import ClusterOptions, Job
from pipeline.core.manifest import Manifest, content_digest_of, digest_of
from pipeline.core.records import tokens_schema
from pipeline.core.shards import FileEntry, ShardWriter, entry_of
from training.identity import pretrain_params
from training.models.saved import load
from training.models.vectors import Glove
from training.section import Pretrain
from training.stages.pretrain import run, spec_of
from training.trainer.packed_rows import open_rows
from training.vectors.glove import Glove as Learner
from training.vectors.worker import work
from training.worker import MODEL_FILES

WORDS = 40
VOCABULARY, LENGTH, WIDTH = WORDS + 4, 8, 12
RARE = 3  # a token of the rows that the table has left out
TINY: JsonObject = {
    "model": {"family": "glove", "width": WIDTH}, "objective": {"glove": {"x_max": 10.0}}, "batch_tokens": 100,
    "epochs": 12, "save_every": 0.2, "engine": {"blocks": {"blocks": 4}},
}  # fmt: skip


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """Counts whose logarithms are products of short vectors, English and Chinese words, and rows that hold them."""
    root, draw = tmp_path_factory.mktemp("inputs"), np.random.default_rng(3)
    ids = np.arange(4, VOCABULARY)
    short = draw.normal(size=(VOCABULARY, 3))
    word, context = (pairs.reshape(-1) for pairs in np.meshgrid(ids, ids, indexing="ij"))
    counts = np.exp((short[word] * short[context]).sum(1))
    schema = pa.schema([("word", pa.int32()), ("context", pa.int32()), ("count", pa.float64())])
    cells = pa.table({"word": word, "context": context, "count": counts}).cast(schema)
    names = ["<|endoftext|>", "<unk>", "</s>", *(f"word{n}" if n % 2 else f"词{n}" for n in range(RARE, VOCABULARY))]
    added = [{"id": n, "content": name, "special": True} for n, name in enumerate(names[:3])]
    vocab = {name: n for n, name in enumerate(names)}
    (root / "tokenizer").mkdir()
    model = {"type": "WordLevel", "unk_token": "<unk>", "vocab": vocab}
    write_json(root / "tokenizer" / "tokenizer.json", {"model": model, "added_tokens": added})
    tokens = [[RARE, *row] for row in draw.integers(4, VOCABULARY, (50, LENGTH - 1)).tolist()]
    rows = pa.table({"tokens": tokens, "documents": [[]] * 50}, schema=tokens_schema(VOCABULARY))
    splits = [shard(root / "tokens", split, rows) for split in ("train", "validation")]
    return {
        "tokens": published(root / "tokens", "tokens", splits, {"length": LENGTH}),
        "tokenizer": published(root / "tokenizer", "tokenizer", [entry_of(root / "tokenizer", "tokenizer.json")], {}),
        "counts": published(root / "counts", "counts", [shard(root / "counts", "parts", cells)], {}),
    }


def shard(folder: Path, kind: str, table: pa.Table) -> FileEntry:
    with ShardWriter(folder, kind, "a", table.schema) as written:
        written.write(table)
    assert written.entry is not None
    return written.entry


def published(folder: Path, kind: str, files: list[FileEntry], params: JsonObject) -> Artifact:
    digest, values = digest_of(files), content_digest_of(files)
    return Artifact(folder, Manifest(kind, 1, digest, kind, params, {}, tuple(files), {}, digest, values))


@pytest.fixture
def make_job(tmp_path: Path, inputs: dict[str, Artifact], job_in: Callable[..., Job]) -> Callable[..., Job]:
    def make(name: str, *, workers: int = 1, seed: int = 17, **options: JsonValue) -> Job:
        section = Pretrain.model_validate({**TINY, **options})
        cluster = ClusterOptions(workers=workers, threads=1)
        return job_in(
            tmp_path / name, inputs, cluster=cluster, stage="pretrain", kind="model",
            run="training.stages.pretrain:run", params=pretrain_params(section, seed),
            section=section.model_dump(mode="json"), seed=seed,
        )  # fmt: skip

    return make


def curve(job: Job) -> dict[str, list[JsonValue]]:
    columns: dict[str, list[JsonValue]] = pq.read_table(job.folder / "curve.parquet").to_pydict()
    return columns


def bytes_of(job: Job) -> dict[str, str]:
    """The sha256 of every file of the model."""
    names = [*MODEL_FILES, "curve.parquet"]
    return {name: hashlib.sha256((job.folder / name).read_bytes()).hexdigest() for name in names}


def alone(job: Job) -> dict[str, str]:
    """Train in this process."""
    work(spec_of(job).to_dict(), lambda figures: None)
    return bytes_of(job)


def test_vectors_learn_the_counts_and_leave_their_curve(
    make_job: Callable[..., Job], inputs: dict[str, Artifact]
) -> None:
    job = make_job("a", epochs=60)
    alone(job)
    columns = curve(job)
    # 1,600 cells: 4 parts of a block make steps of about a hundred, 16 an epoch
    assert columns["step"] == list(range(1, 60 * 16 + 1))
    assert np.mean(columns["loss"][-16:]) < 0.15 * np.mean(columns["loss"][:16])
    model = load(job.folder / "model")
    assert isinstance(model, Glove) and model.vectors().shape == (VOCABULARY, WIDTH)
    table = pq.read_table(inputs["counts"].files("parts/")[0])
    word, context = table["word"].to_numpy(), table["context"].to_numpy()
    weights = {name: value.detach().numpy() for name, value in model.named_parameters()}
    scores = (weights["input"][word] * weights["output"][context]).sum(1)
    scores += weights["input_bias"][word] + weights["output_bias"][context]
    assert np.corrcoef(scores, np.log(table["count"].to_numpy()))[0, 1] > 0.95
    assert model.counts[RARE] == 0 and model.counts[4:].sum() == 50 * (LENGTH - 1)


def test_an_epoch_visits_every_cell_once(make_job: Callable[..., Job]) -> None:
    spec = spec_of(make_job("a"))
    learner = Learner(spec, {"train": open_rows(spec.train, length=LENGTH, name="t", scratch=spec.scratch)})
    epochs = [[learner.numbers(step).tolist() for step in range(first, first + 16)] for first in (0, 16)]
    for steps in epochs:
        assert sorted(number for numbers in steps for number in numbers) == list(range(4 * 4 * 4))
        for numbers in steps:  # blocks of a step share no group of words and none of contexts
            words, contexts = zip(*(learner.grid.groups(number) for number in numbers), strict=True)
            assert len(set(words)) == len(set(contexts)) == 4
    assert epochs[0] != epochs[1]


def test_two_workers_killed_in_the_middle_end_in_the_bytes_of_one_undisturbed(make_job: Callable[..., Job]) -> None:
    options = {"epochs": 100, "save_every": 0.1}
    undisturbed = alone(make_job("whole", **options))
    job = make_job("killed", workers=2, **options)
    kill_at_checkpoint(job)
    assert not (job.folder / "result.json").exists()
    outcome = run(job)
    assert outcome.journal["from_step"] >= 160, "it must not begin anew"
    assert outcome.counts["steps"] == 1600
    assert bytes_of(job) == undisturbed


@pytest.mark.long
def test_two_workers_left_alone_end_in_the_same_bytes_as_one(make_job: Callable[..., Job]) -> None:
    two = make_job("two", workers=2)
    run(two)
    assert bytes_of(two) == alone(make_job("one"))


def test_another_seed_ends_in_other_vectors_and_sees_the_parts_in_another_order(make_job: Callable[..., Job]) -> None:
    jobs = [make_job("one", epochs=2), make_job("other", epochs=2, seed=18)]
    first, second = map(alone, jobs)
    assert first["model/model.safetensors"] != second["model/model.safetensors"]
    assert curve(jobs[0])["rows"] != curve(jobs[1])["rows"]


def kill_at_checkpoint(job: Job) -> None:
    """Start the stage in a process group of its own and kill the group once a checkpoint is whole."""
    write_json(job.place.metrics / "spec.json", spec_of(job).to_dict())
    code = (
        "import json, sys\nfrom pathlib import Path\nfrom cluster.launchers import launcher\n"
        "from pipeline.core.job import ClusterOptions, Job\n"
        "job = json.loads(sys.argv[1])\nspec = json.loads(Path(sys.argv[2]).read_text())\n"
        "launcher(ClusterOptions.from_dict(job['resources']['cluster'])).gang('training.vectors.worker:work', spec,"
        " sizes=[job['resources']['cluster']['workers']], job=Job.from_dict(job))"
    )
    plain = {**job.to_dict(), "inputs": {}}
    stage = subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(plain), str(job.place.metrics / "spec.json")], start_new_session=True
    )
    while not list((job.folder / "checkpoints").glob("*/*.json")):
        assert stage.poll() is None, job.log.read_text()
        time.sleep(0.001)
    os.killpg(stage.pid, signal.SIGKILL)
    stage.wait()
