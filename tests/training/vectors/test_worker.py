"""Word vectors from end to end on tiny data: in one process, in two, on two hosts, killed and resumed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from pipeline.core.errors import UserError
from pipeline.core.files import JsonValue, write_json
from pipeline.core.job import Job, StageOutput
from training.models.saved import load
from training.models.vectors import Word2vec
from training.stages.pretrain import run, spec_of
from training.trainer.batches import fingerprint, rows_of_step
from training.vectors.hosts import Hosts
from training.vectors.prepare import prepare
from training.vectors.worker import work


def run_here(job: Job) -> StageOutput:
    """The stage with its one worker in this process: what it left is collected."""
    work(spec_of(job).to_dict(), lambda figures: None)
    return run(job)


def curve(job: Job) -> dict[str, list[JsonValue]]:
    columns: dict[str, list[JsonValue]] = pq.read_table(job.folder / "curve.parquet").to_pydict()
    return columns


def digests(outcome: StageOutput) -> dict[str, str]:
    return {file.path: file.sha256 for file in outcome.files}


@pytest.mark.parametrize("loss", ["negative_sampling", "hierarchical_softmax"])
@pytest.mark.parametrize("objective", ["skipgram", "cbow"])
def test_words_that_stand_together_come_together(make_job: Callable[..., Job], objective: str, loss: str) -> None:
    options = {"window": 3, "loss": loss, "subsample": 0}
    job = make_job("a", objective={objective: options}, epochs=30, optimizer={"sgd": {"lr": 0.1}})
    outcome = run_here(job)
    model = load(job.folder / "model")
    assert isinstance(model, Word2vec)
    seen = torch.nonzero(model.counts > 20)[:, 0]
    vectors = torch.nn.functional.normalize(model.vectors()[seen], dim=1)
    alike, same = vectors @ vectors.T, (seen[:, None] - seen[None, :]) % 4 == 0
    assert alike[same].mean() > alike[~same].mean() + 0.3
    columns = curve(job)
    assert columns["loss"][-1] < columns["loss"][0] and outcome.counts["steps"] == round(30 * 300 / 16)


def test_the_curve_says_rows_rate_and_held_out_loss(make_job: Callable[..., Job]) -> None:
    job = make_job("a")
    run_here(job)
    columns, steps = curve(job), round(3 * 300 / 16)
    assert columns["rows"] == [fingerprint(rows_of_step(s, rows=300, batch_rows=16, seed=17)) for s in range(steps)]
    assert columns["learning_rate"] == pytest.approx([0.025 * (1 - s / steps) for s in range(steps)])
    held_out = {
        s: loss for s, loss in zip(columns["step"], columns["validation_loss"], strict=True) if loss is not None
    }
    assert set(range(6, steps + 1, 6)) <= set(held_out)
    # six answers a pair, each a guess at first
    assert columns["loss"][0] == pytest.approx(6 * np.log(2), rel=0.01)
    lines = [json.loads(line) for line in (job.place.metrics / "pretrain.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == steps and {line["step"] for line in lines} >= set(held_out)


def test_the_held_out_loss_moves_nothing(make_job: Callable[..., Job]) -> None:
    seldom, often = make_job("seldom", validate_every=1000), make_job("often", validate_every=1)
    assert digests(run_here(seldom))["model/model.safetensors"] == digests(run_here(often))["model/model.safetensors"]


@pytest.mark.parametrize(
    "objective",
    [
        pytest.param("skipgram", id="negative sampling"),
        pytest.param({"cbow": {"loss": "hierarchical_softmax"}}, id="tree", marks=pytest.mark.long),
    ],
)
def test_any_number_of_workers_comes_to_the_same_bytes(make_job: Callable[..., Job], objective: JsonValue) -> None:
    single, gang = (
        run_here(make_job("alone", objective=objective)),
        run(make_job("gang", workers=3, objective=objective)),
    )
    assert digests(single) == digests(gang) and single.numerics == gang.numerics


def test_workers_of_two_hosts_come_to_the_same_bytes(make_job: Callable[..., Job]) -> None:
    single, two_hosts = make_job("alone"), make_job("apart")
    expected = digests(run_here(single))
    spec = two_hosts.place.metrics / "spec.json"
    write_json(spec, spec_of(two_hosts).to_dict())
    # three workers, of which the last two share a host
    code = (
        "import json, os, sys\nfrom training.worker import leave\nfrom training.vectors import hosts, worker\n"
        "hosts._host_name = lambda: 'other' if os.environ['RANK'] > '0' else 'one'\n"
        "worker.work(json.load(open(sys.argv[1])), print)\nleave()"
    )
    port = _free_port()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(spec)],
            env={**os.environ, "RANK": str(rank), "WORLD_SIZE": "3", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port},
        )
        for rank in range(3)
    ]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert {path: hashlib.sha256((two_hosts.folder / path).read_bytes()).hexdigest() for path in expected} == expected


def test_more_workers_than_blocks_are_refused(make_job: Callable[..., Job]) -> None:
    spec = spec_of(make_job("a", engine={"blocks": {"blocks": 1}}))
    with pytest.raises(UserError, match=r"pretrain.engine.blocks: 1 is too few for 2 workers. Write 2 or more"):
        prepare(spec, cast(Hosts, SimpleNamespace(world=2, rank=0)))


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.long), 2])
def test_killed_in_the_middle_the_next_attempt_ends_in_the_same_bytes(
    make_job: Callable[..., Job], workers: int
) -> None:
    options = {"epochs": 40, "save_every": 50, "validate_every": 0.3}
    whole = run_here(make_job("whole", **options))
    job = make_job("killed", workers=workers, **options)
    kill_at_checkpoint(job)
    assert not (job.folder / "result.json").exists()
    outcome = run(job)
    assert outcome.journal["from_step"] >= 50, "it must not begin anew"
    assert digests(outcome) == digests(whole) and outcome.numerics == whole.numerics


@pytest.mark.long
def test_another_number_of_workers_goes_on_to_the_same_bytes(make_job: Callable[..., Job]) -> None:
    options = {"epochs": 40, "save_every": 50}
    whole = run_here(make_job("whole", **options))
    job = make_job("killed", workers=2, **options)
    kill_at_checkpoint(job)
    one_worker = replace(job.resources, cluster=replace(job.cluster, workers=1))
    assert digests(run(replace(job, resources=one_worker))) == digests(whole)


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
        time.sleep(0.002)
    os.killpg(stage.pid, signal.SIGKILL)
    stage.wait()


def _free_port() -> str:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return str(held.getsockname()[1])
