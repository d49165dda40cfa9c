"""Batches that are not finite, or spikes: skipped, undone or told, by all workers; what is published is finite."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from pydantic import ValidationError

from pipeline.core.errors import StageFailed, UserError
from pipeline.core.job import Job
from tests.training.trainer.poisoned import NAME
from tests.training.trainer.test_uneven import continue_runs
from training.compatibility import family_problems
from training.identity import pretrain_params
from training.models.saved import read_weights
from training.section import Anomalies, Pretrain
from training.stages.pretrain import spec_of
from training.trainer import loop
from training.trainer.monitor import Monitor
from training.trainer.packed_rows import split_rows
from training.trainer.worker import work

STEPS, BATCH = 40, 8
OPTIONS: dict[str, Any] = {"steps": STEPS, "save_every": 10, "optimizer": "adamw", "validate_every": 20}
ENGINES: dict[str, Any] = {"plain": "plain", **{f"zero-{stage}": {"zero": {"stage": stage}} for stage in range(4)}}


def poisoned(harm: str, **options: Any) -> dict[str, Any]:
    return {**OPTIONS, "objective": {NAME: {"harm": harm}}, **options}


def poisoned_rows(job: Job) -> list[int]:
    """The training rows that begin with the token of Poisoned."""
    return np.flatnonzero(split_rows(spec_of(job))["train"].tokens[:, 0] == 7).tolist()


def train(job: Job) -> list[dict[str, Any]]:
    """Train in this process; returns the anomalies."""
    work(spec_of(job).to_dict(), lambda report: None)
    path = job.folder / "anomalies.json"
    anomalies: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    return anomalies


def files(job: Job) -> dict[str, bytes]:
    names = ("curve.parquet", "model/model.safetensors", "anomalies.json")
    return {name: (job.folder / name).read_bytes() for name in names}


def curve(job: Job) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = pq.read_table(job.folder / "curve.parquet").to_pydict()
    return columns


@pytest.mark.parametrize("harm", ["loss", "gradient"])
def test_a_poisoned_row_is_found_its_batch_skipped_and_read_no_more(make_job: Callable[..., Job], harm: str) -> None:
    job, clean = make_job("a", **poisoned(harm)), make_job("clean", **OPTIONS)
    rows, anomalies = poisoned_rows(job), train(job)
    train(clean)
    assert rows and sorted(row for anomaly in anomalies for row in anomaly["left_out"]) == rows
    quantity = "loss" if harm == "loss" else "gradient norm"
    for anomaly in anomalies:
        assert (anomaly["kind"], anomaly["quantity"], anomaly["action"]) == ("not finite", quantity, "skipped")
        assert [row["row"] for row in anomaly["rows"]] == anomaly["left_out"]
    columns, skipped = curve(job), {anomaly["step"] for anomaly in anomalies}
    name = "loss" if harm == "loss" else "gradient_norm"
    assert {step for step, value in zip(columns["step"], columns[name], strict=True) if value is None} == skipped
    # 40 steps of 8 rows are three passes and more: each row harms once
    assert len(skipped) <= len(rows)
    weights = read_weights(job.folder / "model")
    assert all(bool(torch.isfinite(weight).all()) for weight in weights.values())
    assert columns["validation_loss"][-1] == pytest.approx(curve(clean)["validation_loss"][-1], abs=0.05)


def test_a_list_of_rows_leaves_them_out_from_the_beginning(make_job: Callable[..., Job], tmp_path: Path) -> None:
    rows = poisoned_rows(make_job("a", **OPTIONS))
    (tmp_path / "rows.txt").write_text("# of the table of contents\n" + "\n".join(map(str, reversed(rows))) + "\n")
    listed = make_job("listed", **poisoned("loss", skip_rows=rows))
    assert not train(listed), "nothing is left that is not finite"
    from_file = make_job("file", **poisoned("loss", skip_rows=str(tmp_path / "rows.txt")))
    assert from_file.params == listed.params
    with pytest.raises(UserError, match=r"skip_rows: there is no row 500: training has 101 rows, 0 to 100"):
        train(make_job("beyond", **{**OPTIONS, "skip_rows": [500]}))


def test_stop_names_the_rows_and_changes_nothing(make_job: Callable[..., Job]) -> None:
    job = make_job("a", **poisoned("loss", anomalies={"not_finite": "stop"}))
    with pytest.raises(StageFailed, match=r"the loss of step \d+ is not a finite number \(row.* \d+\).*skip_rows"):
        train(job)
    assert not (job.folder / "model").exists()


def test_too_many_skipped_batches_end_the_run(make_job: Callable[..., Job]) -> None:
    job = make_job("a", **poisoned("loss", objective={NAME: {"harm": "loss", "first": 5}}, anomalies={"most": 0}))
    with pytest.raises(StageFailed, match=r"the 1\. that would be skipped, and pretrain.anomalies.most is 0"):
        train(job)


@pytest.mark.parametrize(
    ("options", "path", "problem"),
    [
        ({"model": "word2vec", "skip_rows": [3]}, "skip_rows", "word2vec takes no skip_rows"),
        ({"model": "glove", "anomalies": {"most": 3}}, "anomalies", "cannot be undone"),
        ({"model": "lstm", "skip_rows": [3]}, "skip_rows", "carries a state from row to row"),
    ],
)
def test_families_that_cannot_leave_out_a_row_say_so_before_any_work(
    options: dict[str, Any], path: str, problem: str
) -> None:
    assert [(name, problem in text) for name, text in family_problems(Pretrain.model_validate(options))] == [
        (path, True)
    ]


def test_a_broken_list_of_rows_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("5\n1,204\nsix # 6\n")
    with pytest.raises(ValidationError, match=r"rows.txt:3: 'six' is no row number"):
        Pretrain.model_validate({"skip_rows": str(tmp_path / "rows.txt")})
    with pytest.raises(ValidationError, match="nothing.txt cannot be read: No such file"):
        Pretrain.model_validate({"skip_rows": "nothing.txt"})


def test_what_is_not_set_changes_no_fingerprint() -> None:
    params = pretrain_params(Pretrain(), 17)
    assert not {"anomalies", "skip_rows"} & set(params)
    assert pretrain_params(Pretrain.model_validate({"skip_rows": [2, 1, 2]}), 17)["skip_rows"] == [1, 2]


def test_a_quiet_curve_and_a_falling_one_have_no_spikes() -> None:
    draw = np.random.default_rng(3)
    monitor = Monitor(Anomalies())
    losses = 3 + 6 * np.exp(-np.arange(3000) / 200) + draw.normal(0, 0.02, 3000)
    norms = np.exp(draw.normal(0, 0.1, 3000))
    assert not any(monitor.judge(*pair) for pair in zip(losses.tolist(), norms.tolist(), strict=True))
    spike = monitor.judge(3.3, 1.0)
    assert spike is not None and (spike.kind, spike.quantity, spike.action) == ("spike", "loss", "record")
    assert (gradient := monitor.judge(3.0, 3.0)) is not None and gradient.quantity == "gradient norm"


SPIKES = {"window": 8, "threshold": 8, "most": 50}


@pytest.mark.parametrize("action", ["record", "skip", "roll_back"])
def test_a_spike_is_recorded_skipped_or_undone_and_a_kill_changes_no_byte(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    options = poisoned("spike", anomalies={**SPIKES, "spike": action, "back": 5}, save_every=4, keep=1)
    whole, killed = make_job("whole", **options), make_job("killed", **options)
    anomalies = train(whole)
    assert anomalies and {anomaly["kind"] for anomaly in anomalies} == {"spike"}
    rows = poisoned_rows(whole)
    assert {row["row"] for anomaly in anomalies for row in anomaly["rows"]} <= set(rows)
    assert any(anomaly["rows"] for anomaly in anomalies)
    losses = curve(whole)["loss"]
    for anomaly in anomalies:
        assert anomaly["first"] == max(1, anomaly["step"] - (5 if action == "roll_back" else 0))
    given_up = {step for entry in anomalies for step in range(entry["first"], entry["step"] + 1)}
    missing = {number for number, loss in enumerate(losses, 1) if loss is None}
    assert missing == (given_up if action == "roll_back" else set())

    one_step, steps = loop.one_step, iter(range(10_000))
    # further and further apart: a roll-back repeats up to nine steps before it comes to new ones
    kills = {number * (number + 5) for number in range(1, 30)}

    def step(run: loop.TrainingRun) -> Any:
        if next(steps) in kills:
            raise KeyboardInterrupt
        return one_step(run)

    monkeypatch.setattr(loop, "one_step", step)
    for attempt in range(1, 40):
        try:
            train(replace(killed, identity=replace(killed.identity, attempt=attempt)))
        except KeyboardInterrupt:
            continue
        break
    assert attempt > 4 and files(killed) == files(whole)


@pytest.mark.long
def test_all_engines_skip_the_same_steps_and_go_on(make_job: Callable[..., Job], tmp_path: Path) -> None:
    """Two workers, every engine, losses and gradients: the steps, the rows and the curve of one plain worker."""
    jobs = {
        f"{name} {harm} {action}": make_job(
            f"{name}-{harm}-{action}",
            **poisoned(harm, engine=engine, anomalies={**SPIKES, "spike": action, "back": 3, "not_finite": action}),
        )
        for name, engine in ENGINES.items()
        for harm, action in (("loss", "skip"), ("gradient", "skip"), ("spike", "roll_back"))
    }
    outcomes = continue_runs(tmp_path / "two", jobs, world=2, until=STEPS)
    for harm, action in (("loss", "skip"), ("gradient", "skip"), ("spike", "roll_back")):
        plain = outcomes[f"plain {harm} {action}"]
        assert plain["anomalies"], "nothing was tried"
        for name in ENGINES:
            ours = outcomes[f"{name} {harm} {action}"]
            if (name, harm) == ("zero-3", "gradient"):
                # its weights are apart, so no row has a gradient of its own: the rows harm in every epoch
                assert {entry["step"] for entry in plain["anomalies"]} < {entry["step"] for entry in ours["anomalies"]}
                continue
            steps = [[(entry["step"], entry["left_out"]) for entry in one["anomalies"]] for one in (ours, plain)]
            assert steps[0] == steps[1], name
            losses = [[loss for loss in outcome["curve"]["loss"] if loss is not None] for outcome in (ours, plain)]
            assert losses[0] == pytest.approx(losses[1], abs=2e-5), name
