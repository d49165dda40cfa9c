"""SIGTERM: the vectors are saved after the step in hand; the next start goes on to the same bytes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from pipeline.core.errors import Preempted
from pipeline.core.files import JsonObject
from pipeline.core.job import Job, StageOutput
from training.stages.pretrain import run, spec_of
from training.vectors import loop
from training.vectors.worker import work


def digests(outcome: StageOutput) -> dict[str, str]:
    return {file.path: file.sha256 for file in outcome.files}


def test_a_worker_that_is_asked_to_end_saves_first(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    options: JsonObject = {"epochs": None, "steps": 9}
    job, one_step = make_job("a", **options), loop.one_step

    def step(run_: loop.VectorRun) -> None:
        if run_.done == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        one_step(run_)

    with monkeypatch.context() as context:
        context.setattr(loop, "one_step", step)
        with pytest.raises(Preempted, match="saved after step 4"):
            work(spec_of(job).to_dict(), lambda figures: None)
    work(spec_of(job).to_dict(), lambda figures: None)
    work(spec_of(whole := make_job("whole", **options)).to_dict(), lambda figures: None)
    outcome = run(job)
    assert outcome.journal["from_step"] == 4 and digests(outcome) == digests(run(whole))
