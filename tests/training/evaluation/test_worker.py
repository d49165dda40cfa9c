"""Results and scores are finite numbers, or the stage fails with one sentence that says which is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.core.errors import StageFailed
from pipeline.core.job import Job
from training.evaluation import worker
from training.evaluation.base import Score
from training.evaluation.losses import DocumentLoss, loss_scores

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(("value", "interval"), [(NAN, None), (-INF, None), (1.0, (0.0, INF)), (1.0, (NAN, 2.0))])
def test_a_score_is_a_finite_number(value: float, interval: tuple[float, float] | None) -> None:
    with pytest.raises(StageFailed, match=r"evaluate: probe: f1: .* not a finite number"):
        Score("probe", "f1", value, interval, 3)


def test_a_loss_whose_perplexity_is_too_large_for_a_float_is_a_clear_error() -> None:
    documents = [DocumentLoss("en", 5 * loss, 5, 20) for loss in (800.0, 900.0)]
    with pytest.raises(StageFailed, match="perplexity: perplexity: "):
        list(loss_scores(documents, None))
    assert [score.metric for score in loss_scores([DocumentLoss("zh", 50.0, 10, 20)], "zh")] == [
        "loss", "perplexity", "bits_per_byte",
    ]  # fmt: skip


@pytest.mark.parametrize("value", [NAN, INF])
def test_an_item_whose_result_is_not_finite_leaves_no_file(
    corpus: Any, make_stage_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    class Task:
        def work(self, item: Any, subject: Any) -> Any:
            return [{"probability": value}]

    monkeypatch.setattr(worker, "create_task", lambda *of: Task())
    job = make_stage_job("evaluate", "scores", corpus, {})
    spec: worker.WorkSpec = {
        "job": job.to_dict(), "task": "fill", "options": {}, "seed": 1, "threads": 1, "item": {}, "step": "fill",
        "key": "000000",
    }  # fmt: skip
    with pytest.raises(StageFailed, match="evaluate: fill: "):
        worker.work(spec)
    assert not job.draft.results("fill")
