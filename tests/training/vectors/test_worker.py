"""Word vectors from end to end on tiny data: in one process, in two, on two hosts, killed and resumed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from pipeline.core.stage import Job, Outcome
from training.models.saved import load
from training.models.vectors import Word2vec
from training.stages.pretrain import run


def curve(job: Job) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = pq.read_table(job.folder / "curve.parquet").to_pydict()
    return columns


def digests(outcome: Outcome) -> dict[str, str]:
    return {file.path: file.sha256 for file in outcome.files}


@pytest.mark.parametrize("loss", ["negative_sampling", "hierarchical_softmax"])
@pytest.mark.parametrize("objective", ["skipgram", "cbow"])
def test_words_that_stand_together_come_together(make_job: Callable[..., Job], objective: str, loss: str) -> None:
    options = {"window": 3, "loss": loss, "subsample": 0}
    job = make_job("a", objective={objective: options}, epochs=30, optimizer={"sgd": {"lr": 0.1}})
    outcome = run(job)
    model = load(job.folder / "model")
    assert isinstance(model, Word2vec)
    seen = torch.nonzero(model.counts > 20)[:, 0]
    vectors = torch.nn.functional.normalize(model.vectors()[seen], dim=1)
    alike, same = vectors @ vectors.T, (seen[:, None] - seen[None, :]) % 4 == 0
    assert alike[same].mean() > alike[~same].mean() + 0.3
    found = curve(job)
    assert found["loss"][-1] < found["loss"][0] and outcome.counts["steps"] == round(30 * 300 / 16)
