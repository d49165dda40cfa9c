"""Word vectors that diverge, or that saw no window, leave nothing to publish."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipeline.core.errors import StageFailed
from pipeline.core.job import Job
from training.stages.pretrain import spec_of
from training.trainer.checkpoint import Checkpoints
from training.trainer.checkpoint_places import FolderPlace
from training.vectors import loop
from training.vectors.worker import work
from training.worker import RESULT


def fail(job: Job, match: str) -> None:
    with pytest.raises(StageFailed, match=match):
        work(spec_of(job).to_dict(), lambda report: None)
    assert not (job.folder / RESULT).exists() and not (job.folder / "model").exists()


@pytest.mark.parametrize("objective", ["skipgram", "cbow"])
def test_a_rate_that_is_too_high_is_one_sentence(make_job: Callable[..., Job], objective: str) -> None:
    job = make_job("a", objective=objective, optimizer={"sgd": {"lr": 1e38}})
    fail(job, r"not (a )?finite number.*Lower pretrain\.optimizer\.lr")


@pytest.mark.parametrize("after", ["checkpoint", "last step"])
def test_vectors_that_are_not_finite_are_neither_kept_nor_published(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    one_step = loop.one_step

    def spoil(run: loop.VectorRun) -> None:
        one_step(run)
        if run.done == (2 if after == "checkpoint" else run.learner.plan.steps):
            run.shared_tables.matrices()["input"][1, 0] = float("nan")  # of <unk>, which no window holds

    monkeypatch.setattr(loop, "one_step", spoil)
    job = make_job("a", save_every=2)
    fail(job, r"the weights after step \d+ are not finite numbers")
    kept = Checkpoints(FolderPlace(job.folder / "checkpoints"), attempt=1, rank=0, keep=2).newest()
    assert (kept is None) == (after == "checkpoint")


@pytest.mark.parametrize("objective", ["skipgram", "cbow"])
def test_vectors_that_saw_no_window_are_not_published(make_job: Callable[..., Job], objective: str) -> None:
    job = make_job("a", objective={objective: {"subsample": 1e-30}})
    fail(job, "no word has a neighbour in its sentence once frequent words are left out .*subsample 1e-30")
