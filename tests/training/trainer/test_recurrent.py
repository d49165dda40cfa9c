"""Recurrent models through the trainer: states that go on over steps, micro-batches and stops; masks that come back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from pipeline.core.files import JsonObject, JsonValue, write_json
from pipeline.core.job import Job
from training.stages import pretrain
from training.stages.pretrain import spec_of
from training.trainer.loop import TrainingRun, one_step, save, train
from training.trainer.prepare import prepare

DROPS = {"dropout": 0.2, "embedding_dropout": 0.1, "weight_dropout": 0.3}
MODELS: dict[str, JsonObject] = {
    **{family: {"width": 16, "hidden": 24, **DROPS} for family in ("rnn", "lstm", "gru")},
    "bilstm": {"width": 16, "dropout": 0.2},
}
ROWS, BATCH = 101, 8  # of the corpus (conftest.py): streams of 12 rows, 5 rows left out


@pytest.fixture
def alone() -> Iterator[None]:
    """One worker, in this process."""
    store = dist.HashStore()  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.fixture
def start(alone: None, make_job: Callable[..., Job]) -> Callable[..., TrainingRun]:
    """start("name", "lstm", steps=30) → a run in hand, from its last checkpoint if it has one."""

    def begin(name: str, family: str, **options: JsonValue) -> TrainingRun:
        model = {"family": family, **(options.pop("model", None) or MODELS[family])}
        job = make_job(name, model=model, optimizer={"adamw": {"lr": 0.01}}, **options)
        return prepare(spec_of(job), torch.device("cpu"))

    return begin


def weights_of(run: TrainingRun) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in run.engine.model.state_dict().items()}


@pytest.mark.parametrize("family", list(MODELS))
def test_stopped_at_a_checkpoint_and_gone_on_with_it_ends_in_the_same_weights(
    family: str, start: Callable[..., TrainingRun]
) -> None:
    # 8 rows in micro-batches of 2; step 12 begins the streams anew, step 16 is in the middle of one
    options: JsonObject = {"steps": 20, "save_every": 16, "engine": {"plain": {"micro_batch_tokens": 32}}}
    train(whole := start("whole", family, **options))
    stopped = start("stopped", family, **options)
    while stopped.done < 16:
        one_step(stopped)
    save(stopped)
    torch.manual_seed(999)
    train(again := start("stopped", family, **options))
    assert again.curve.columns["loss"] == whole.curve.columns["loss"] and len(again.curve.columns["loss"]) == 20
    expected = weights_of(whole)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights_of(again).items())


def test_a_state_goes_on_until_its_streams_begin_again(start: Callable[..., TrainingRun]) -> None:
    run = start("a", "lstm", steps=13, model={"width": 16})
    one_step(run)
    before = [tensor.clone() for tensor in run.engine.loss_module.carried[0]]
    assert [tuple(tensor.shape) for tensor in before] == [(1, BATCH, 16)] * 4, "h and c of two layers"
    one_step(run)
    assert not torch.equal(before[0], run.engine.loss_module.carried[0][0])
    while run.done < 12:
        one_step(run)
    assert run.feed.begins_streams(12) and not run.feed.begins_streams(11)
    one_step(run)
    model = run.engine.model.eval()
    assert model.state is None, "and nothing of it is left for whoever asks the model"


def test_a_step_reads_its_rows_after_those_of_the_step_before(start: Callable[..., TrainingRun]) -> None:
    run = start("a", "gru", steps=4, model={"width": 16})
    first, second = (torch.from_numpy(run.feed.train.take(run.feed.numbers(n))[0]) for n in (0, 1))
    model, drawn = run.engine.model, weights_of(run)
    with torch.inference_mode():
        logits = model.logits(torch.cat([first, second], 1))[:, first.shape[1] :]
    expected = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), second[:, 1:].flatten())
    one_step(run)
    model.load_state_dict(drawn)  # the weights as they were: only the state is another
    one_step(run)
    assert run.curve.columns["loss"][1] == pytest.approx(expected.item(), rel=1e-6)


def test_micro_batches_change_no_loss(start: Callable[..., TrainingRun]) -> None:
    losses = []
    for name, tokens in (("one", 128), ("four", 32)):
        run = start(name, "lstm", steps=6, model={"width": 16}, engine={"plain": {"micro_batch_tokens": tokens}})
        train(run)
        assert sorted(run.engine.loss_module.carried) == list(range(run.plan.micro_batches))
        losses.append(run.curve.columns["loss"])
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def kill_at_a_checkpoint(job: Job) -> None:
    """Start the workers and kill them all with SIGKILL once a checkpoint is whole."""
    write_json(spec := job.place.metrics / "spec.json", spec_of(job).to_dict())
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    command = [*torchrun, str(job.cluster.workers), "-m", "training.trainer.worker", str(spec)]
    with job.log.open("w") as log:
        gang = subprocess.Popen(command, start_new_session=True, stdout=log, stderr=log)
    while not list((job.folder / "checkpoints").glob("*/*.json")):
        assert gang.poll() is None, job.log.read_text()
        time.sleep(0.002)
    os.killpg(gang.pid, signal.SIGKILL)
    gang.wait()


@pytest.mark.long
@pytest.mark.parametrize(
    ("family", "workers", "engine"),
    [
        pytest.param("lstm", 1, "plain", id="lstm 1 plain"),
        pytest.param("gru", 2, {"zero": {"stage": 2}}, id="gru 2 zero 2"),
        pytest.param("rnn", 2, "plain", id="rnn 2 plain"),
        pytest.param("bilstm", 2, {"zero": {"stage": 3}}, id="bilstm 2 zero 3"),
    ],
)
def test_killed_in_the_middle_the_next_attempt_ends_in_the_same_bytes(
    make_job: Callable[..., Job], family: str, workers: int, engine: JsonValue
) -> None:
    model = {"family": family, **MODELS[family]}
    options = {"model": model, "steps": 60, "save_every": 15, "optimizer": "adamw", "engine": engine}
    whole = pretrain.run(make_job("whole", workers=workers, **options))
    kill_at_a_checkpoint(job := make_job("killed", workers=workers, **options))
    assert not (job.folder / "result.json").exists()
    outcome = pretrain.run(job)
    assert outcome.journal["from_step"] >= 15, "it must not begin anew"
    assert {file.path: file.sha256 for file in outcome.files} == {file.path: file.sha256 for file in whole.files}
