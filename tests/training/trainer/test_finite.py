"""Training that diverges ends at the step where it does, says what and what to try, and leaves nothing to publish."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject
from pipeline.core.job import Job
from training.engines.base import Accepts
from training.engines.plain import Plain
from training.finite import check_saved
from training.stages.pretrain import spec_of
from training.trainer import loop
from training.trainer.checkpoint import Checkpoints
from training.trainer.checkpoint_places import FolderPlace
from training.trainer.worker import work
from training.worker import RESULT

TRY = r"Lower pretrain.optimizer.lr"


def fail(job: Job, match: str) -> None:
    with pytest.raises(StageFailed, match=match):
        work(spec_of(job).to_dict(), lambda report: None)
    assert not (job.folder / RESULT).exists() and not (job.folder / "model").exists()


def test_weights_that_diverge_in_the_last_step_fail_by_the_held_out_loss(make_job: Callable[..., Job]) -> None:
    job = make_job("a", steps=1, optimizer={"adamw": {"lr": 1e38}})
    fail(job, rf"the held-out loss of step 1 is not a finite number .* {TRY}")


def test_a_gradient_that_overflows_is_told_with_its_step(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(self: Plain, number: int, factor: float, accepts: Accepts) -> tuple[torch.Tensor, float]:
        accepts(norm := torch.tensor(float("inf") if number == 2 else 1.0))
        return norm, 0.1

    monkeypatch.setattr(Plain, "step", step)
    stop: JsonObject = {"not_finite": "stop"}
    fail(make_job("a", anomalies=stop), rf"the gradient norm of step 3 is not a finite number \(inf\)\..*{TRY}")


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_no_checkpoint_is_written_of_weights_that_are_not_finite(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    one_step = loop.one_step

    def spoil(run: loop.TrainingRun) -> None:
        one_step(run)
        if run.done == 8:  # a row of the embedding that no row of text asks for would show in no loss
            with torch.no_grad():
                next(run.engine.model.parameters())[5, 0] = value

    monkeypatch.setattr(loop, "one_step", spoil)
    job = make_job("a", validate_every=100)
    fail(job, rf"the weights after step 8 are not finite numbers.*{TRY}")
    saved = Checkpoints(FolderPlace(job.folder / "checkpoints"), attempt=1, rank=0, keep=2).newest()
    assert saved is not None and saved.step == 4


def test_a_tensor_that_is_not_finite_is_named() -> None:
    weights = {"embed.weight": torch.zeros(3), "norm.weight": torch.tensor([1.0, float("nan")])}
    with pytest.raises(StageFailed, match=r"norm\.weight"):
        check_saved(weights)
    check_saved({"counts": torch.tensor([1, 2])})


def test_an_optimizer_of_every_kind_is_watched(make_job: Callable[..., Job]) -> None:
    options: JsonObject = {"muon": {"lr": 1e38, "rest_lr": 1e38}}
    fail(make_job("a", steps=3, optimizer=options), rf"the weights after step 2 are not finite numbers.*{TRY}")
