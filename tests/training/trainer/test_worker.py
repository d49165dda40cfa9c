"""Training from end to end on tiny data: in one process, in two, under torchrun, killed and resumed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.core.errors import UserError
from pipeline.core.files import JsonValue, write_json
from pipeline.core.job import Job, StageOutput
from training.engines import device as devices
from training.models.saved import load
from training.stages.pretrain import run, spec_of
from training.trainer.batches import fingerprint, rows_of_step

ZERO = {"zero": {"stage": 2}}


def curve(job: Job) -> dict[str, list[JsonValue]]:
    columns: dict[str, list[JsonValue]] = pq.read_table(job.folder / "curve.parquet").to_pydict()
    return columns


def digests(outcome: StageOutput) -> dict[str, str]:
    return {file.path: file.sha256 for file in outcome.files}


def test_a_model_learns_and_leaves_its_curve(make_job: Callable[..., Job]) -> None:
    job = make_job("a", steps=60, optimizer={"muon": {"lr": 0.05, "rest_lr": 0.02}})
    outcome = run(job)
    columns = curve(job)
    assert columns["step"] == list(range(1, 61))
    # ln 64 at first; later every other token is known
    assert columns["loss"][0] == pytest.approx(4.16, abs=0.1) and columns["loss"][-1] < 2.9
    taken = [step for step, loss in zip(columns["step"], columns["validation_loss"], strict=True) if loss is not None]
    assert taken == list(range(6, 61, 6))
    assert load(job.folder / "model").vocabulary == 64
    assert outcome.counts["steps"] == 60 and outcome.counts["rows"] == 101
    lines = [json.loads(line) for line in (job.place.metrics / "pretrain.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines] == columns["loss"] and lines[-1]["tokens_per_second"] > 0
    assert list((job.place.metrics / "tensorboard").iterdir())


def test_the_curve_says_which_rows_each_step_saw(make_job: Callable[..., Job]) -> None:
    job = make_job("a", steps=14)
    run(job)
    # 14 steps of 8 rows run into the second epoch of 101 rows
    expected = [fingerprint(rows_of_step(step, rows=101, batch_rows=8, seed=17)) for step in range(14)]
    assert curve(job)["rows"] == expected


@pytest.mark.parametrize("engine", ["plain", ZERO], ids=["plain", "zero 2"])
def test_two_workers_see_the_same_rows_and_come_to_the_same_losses(
    make_job: Callable[..., Job], engine: JsonValue
) -> None:
    single, two = make_job("one", engine="plain"), make_job("two", workers=2, engine=engine)
    assert run(single).numerics != run(two).numerics
    assert curve(single)["rows"] == curve(two)["rows"]
    for name in ("loss", "gradient_norm"):
        assert curve(two)[name] == pytest.approx(curve(single)[name], abs=2e-5)
    held_out = [[loss for loss in curve(job)["validation_loss"] if loss] for job in (single, two)]
    assert held_out[0] == pytest.approx(held_out[1], abs=1e-5)


TINY_GPT = {"family": "gpt", "layers": 1, "heads": 2, "width": 16, "dropout": 0.1}
TINY_HF = {"family": "hf", "config": {"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2}}


@pytest.mark.parametrize(
    ("workers", "engine", "model"),
    [
        pytest.param(1, "plain", TINY_GPT, id="1 plain"),
        pytest.param(2, ZERO, TINY_GPT, id="2 zero 2"),
        pytest.param(2, "plain", TINY_HF, id="2 plain hf"),
        # from three on, the order in which gradients meet decides their last bits
        *(
            pytest.param(*case, TINY_GPT, id=f"{case[0]} {case[1]}", marks=pytest.mark.long)
            for case in ((2, "plain"), (4, "plain"), (2, {"zero": {"stage": 3}}))
        ),
    ],
)
def test_killed_in_the_middle_the_next_attempt_ends_in_the_same_bytes(
    make_job: Callable[..., Job], workers: int, engine: JsonValue, model: JsonValue
) -> None:
    options = {"model": model, "steps": 40, "save_every": 10}
    whole = run(make_job("whole", workers=workers, engine=engine, **options))
    job = make_job("killed", workers=workers, engine=engine, **options)
    kill_at_checkpoint(job)
    assert not (job.folder / "result.json").exists()
    outcome = run(job)
    assert outcome.journal["from_step"] >= 10, "it must not begin anew"
    assert digests(outcome) == digests(whole)
    assert outcome.numerics == whole.numerics


@pytest.mark.skipif(devices.cpu_level() not in devices.LEVELS[:2], reason="this processor does not compute in bf16")
def test_killed_in_bf16_the_next_attempt_ends_in_the_same_bytes(make_job: Callable[..., Job]) -> None:
    model = {"family": "gpt", "layers": 1, "heads": 2, "width": 16}
    options = {"model": model, "steps": 40, "save_every": 10, "precision": "bf16", "workers": 2, "engine": ZERO}
    whole = run(make_job("whole", **options))
    job = make_job("killed", **options)
    kill_at_checkpoint(job)
    outcome = run(job)
    assert outcome.journal["from_step"] >= 10
    assert digests(outcome) == digests(whole)
    assert outcome.numerics == whole.numerics
    assert whole.numerics is not None and whole.numerics["numba"], "which compiled the loops"


def kill_at_checkpoint(job: Job) -> None:
    """Start the stage in a process group of its own and kill the group once a checkpoint is whole."""
    write_json(job.place.metrics / "spec.json", spec_of(job).to_dict())
    code = (
        "import json, sys\nfrom pathlib import Path\nfrom cluster.launchers import launcher\n"
        "from pipeline.core.job import ClusterOptions, Job\n"
        "job = json.loads(sys.argv[1])\nspec = json.loads(Path(sys.argv[2]).read_text())\n"
        "launcher(ClusterOptions.from_dict(job['resources']['cluster'])).gang('training.trainer.worker:work', spec,"
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


def test_another_number_of_workers_goes_on_with_the_same_rows_and_says_so(make_job: Callable[..., Job]) -> None:
    whole = make_job("whole", workers=2, engine=ZERO)
    run(whole)
    shrunk = make_job("shrunk", workers=2, engine=ZERO)
    kill_at_checkpoint(shrunk)
    one_worker = replace(shrunk.resources, cluster=replace(shrunk.cluster, workers=1))
    outcome = run(replace(shrunk, resources=one_worker))
    assert outcome.numerics is not None
    assert outcome.journal["from_step"] > 0
    assert outcome.numerics["earlier"][0]["workers"] == 2 and outcome.numerics["workers"] == 1
    assert curve(shrunk)["rows"] == curve(whole)["rows"]
    assert curve(shrunk)["loss"] == pytest.approx(curve(whole)["loss"], abs=2e-5)


def test_torchrun_enters_by_the_same_door(make_job: Callable[..., Job]) -> None:
    launched, by_torchrun = make_job("launched", workers=2), make_job("torchrun", workers=2)
    outcome = run(launched)
    spec = by_torchrun.place.metrics / "spec.json"
    write_json(spec, spec_of(by_torchrun).to_dict())
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run([*torchrun, "-m", "training.trainer.worker", str(spec)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    files = {path: hashlib.sha256((by_torchrun.folder / path).read_bytes()).hexdigest() for path in digests(outcome)}
    assert files == digests(outcome)


@pytest.mark.long
def test_ray_gives_the_same_bytes_as_processes_of_ones_own(make_job: Callable[..., Job]) -> None:
    local, on_ray = (make_job(name, workers=2, launcher=name, engine=ZERO) for name in ("local", "ray"))
    assert digests(run(on_ray)) == digests(run(local))


def test_a_batch_of_broken_rows_is_refused_in_one_sentence(make_job: Callable[..., Job]) -> None:
    with pytest.raises(UserError, match="is not a whole number of rows of 16 tokens; 128 is"):
        run(make_job("a", batch_tokens=130))


def test_the_stage_does_nothing_again_when_its_result_is_there(make_job: Callable[..., Job]) -> None:
    job = make_job("a", steps=4)
    first = run(job)
    before = {path: path.stat().st_mtime_ns for path in Path(job.folder).rglob("*.safetensors")}
    assert run(job) == first
    assert {path: path.stat().st_mtime_ns for path in before} == before
