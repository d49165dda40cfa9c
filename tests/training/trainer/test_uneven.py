"""Workers that cannot share the rows of a step evenly: the same rows in the same steps, the losses of one worker."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.job import Job
from tests.support.processes import run_gang
from training.section import Pretrain
from training.stages.pretrain import run, spec_of
from training.trainer.batches import share
from training.trainer.step_plan import plan_steps

WORKER = Path(__file__).with_name("gang_runs.py")
ENGINES = ("plain", *({"zero": {"stage": stage, "micro_batch_tokens": 32}} for stage in range(4)))
TOLERANCE = 2e-5  # nats a token, fp32, as between other numbers of workers (test_worker.py)
Outcomes = dict[str, dict[str, Any]]


def continue_runs(folder: Path, jobs: dict[str, Job], *, world: int, until: int) -> Outcomes:
    """Continue every job to step `until` in a gang of `world` processes."""
    folder.mkdir(parents=True)
    cases = [{"name": name, "spec": spec_of(job).to_dict(), "until": until} for name, job in jobs.items()]
    (folder / "cases.json").write_text(json.dumps(cases))
    run_gang(world, [sys.executable, WORKER, str(folder)], os.environ, timeout=900)
    outcomes: Outcomes = json.loads((folder / "outcomes.json").read_text())
    return outcomes


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 12), st.sampled_from([1, 2, 4]))
def test_every_row_of_a_batch_has_one_worker_and_all_workers_have_as_many_places(
    groups: int, world: int, most: int, group: int
) -> None:
    section = Pretrain.model_validate(
        {"model": "bert", "batch_tokens": groups * group * 8, "objective": {"contrastive": {"group": group}}}
        if group > 1
        else {"batch_tokens": groups * 8}
    )
    plan = plan_steps(
        section, length=8, rows=500, world=world, micro_tokens=most * 8, precision="fp32", group=group
    )  # fmt: skip
    numbers = np.arange(100, 100 + plan.batch_rows)
    shares = [share(numbers, rank=rank, worker_rows=plan.worker_rows) for rank in range(world)]
    assert {len(part) for part in shares} == {plan.worker_rows}
    joined = np.concatenate(shares)
    assert joined[: plan.batch_rows].tolist() == numbers.tolist() and (joined[plan.batch_rows :] == -1).all()
    assert len(joined) - plan.batch_rows == plan.empty_rows
    assert plan.micro_rows % group == 0 and plan.micro_rows <= max(group, most)


def test_three_workers_take_the_steps_of_one(make_job: Callable[..., Job]) -> None:
    one, three = make_job("one"), make_job("three", workers=3)
    run(one)
    outcome = run(three)
    curves = [pq.read_table(job.folder / "curve.parquet").to_pydict() for job in (one, three)]
    assert curves[1]["rows"] == curves[0]["rows"]
    for name in ("loss", "gradient_norm"):
        assert curves[1][name] == pytest.approx(curves[0][name], abs=TOLERANCE)
    assert outcome.numerics is not None and outcome.numerics["empty_rows"] == 1


@pytest.mark.long
def test_four_workers_become_three_and_four_again(make_job: Callable[..., Job], tmp_path: Path) -> None:
    lstm = {"family": "lstm", "width": 16, "hidden": 24}
    jobs: dict[str, Job] = {}
    for engine in ENGINES:
        name = "plain" if isinstance(engine, str) else f"zero-{engine['zero']['stage']}"
        jobs[name] = make_job(name, engine=engine)
        if name in ("plain", "zero-3"):
            jobs[f"lstm {name}"] = make_job(f"lstm-{name}", engine=engine, model=lstm, optimizer="adamw", steps=20)
    references = {"gpt": make_job("gpt"), "lstm": make_job("lstm", model=lstm, optimizer="adamw", steps=20)}
    expected = continue_runs(tmp_path / "one", references, world=1, until=12)
    for number, (world, until) in enumerate(((4, 4), (3, 8), (4, 12))):
        outcomes = continue_runs(tmp_path / f"gang-{number}", jobs, world=world, until=until)
        assert {outcome["first"] for outcome in outcomes.values()} == {until - 4}
        assert {outcome["numerics"].get("empty_rows", 0) for outcome in outcomes.values()} <= (
            {0} if world == 4 else {1, 4}
        )
    for name, outcome in outcomes.items():
        whole = expected["lstm" if name.startswith("lstm") else "gpt"]
        assert outcome["curve"]["rows"] == whole["curve"]["rows"], name
        for column in ("loss", "gradient_norm"):
            assert outcome["curve"][column] == pytest.approx(whole["curve"][column], abs=TOLERANCE), (name, column)
        assert outcome["held_out"] == pytest.approx(whole["held_out"], abs=TOLERANCE), name
        assert [part["workers"] for part in outcome["numerics"]["earlier"]] == [4, 3]


@pytest.mark.long
def test_more_workers_than_rows_leave_some_without_any(make_job: Callable[..., Job], tmp_path: Path) -> None:
    options = {"batch_tokens": 2 * 16, "steps": 4, "save_every": 100}
    outcomes = {
        world: continue_runs(tmp_path / f"{world}", {"a": make_job(f"a-{world}", **options)}, world=world, until=4)["a"]
        for world in (1, 3)
    }
    assert outcomes[3]["curve"]["rows"] == outcomes[1]["curve"]["rows"]
    assert outcomes[3]["curve"]["loss"] == pytest.approx(outcomes[1]["curve"]["loss"], abs=TOLERANCE)
    assert outcomes[3]["numerics"]["empty_rows"] == 1
