"""`reduction: tree`: a training has the same bytes with any number of workers, and when their number changes."""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch._dynamo  # noqa: F401 - a step imports it, for seconds

from pipeline.core.files import JsonObject
from pipeline.core.job import Job
from tests.training.trainer import gang_runs
from tests.training.trainer.test_uneven import TOLERANCE, Outcomes
from training.stages.pretrain import spec_of

fork = multiprocessing.get_context("fork")  # all of them have torch then: most of the time of a gang is its import

# gpt by Muon, of which every worker orthogonalises whole matrices; dropout draws numbers in every micro-batch
GPT: JsonObject = {
    "model": {"family": "gpt", "layers": 2, "heads": 2, "width": 16, "dropout": 0.1},
    "reduction": "tree",
}
CASES: dict[str, JsonObject] = {
    "gpt": GPT,
    "adamw": {**GPT, "optimizer": "adamw", "micro_batches": 4},
    "bf16": {**GPT, "precision": "bf16"},
    "lstm": {
        "model": {"family": "lstm", "width": 16, "hidden": 24},
        "reduction": "tree",
        "optimizer": "adamw",
        "steps": 20,
    },
    "five": {**GPT, "batch_tokens": 5 * 16},
}
CASES = {name: {**options, "steps": 6} for name, options in CASES.items()}


def trained(
    make_job: Callable[..., Job], folder: Path, cases: dict[str, JsonObject], *parts: tuple[int, int]
) -> Outcomes:
    """The outcomes of a training in gangs of (world, until) in turn."""
    jobs = {name: make_job(f"{folder.name}-{name}", **options) for name, options in cases.items()}
    for world, until in parts:
        place = folder / f"{world}-{until}"
        place.mkdir(parents=True)
        runs = [{"name": name, "spec": spec_of(job).to_dict(), "until": until} for name, job in jobs.items()]
        (place / "cases.json").write_text(json.dumps(runs))
        gang = [fork.Process(target=work, args=(world, rank, place)) for rank in range(world)]
        for worker in gang:
            worker.start()
        for worker in gang:
            worker.join(600)
        assert [worker.exitcode for worker in gang] == [0] * world
    outcomes: Outcomes = json.loads((place / "outcomes.json").read_text())
    return outcomes


def work(world: int, rank: int, folder: Path) -> None:
    sys.argv = ["gang_runs", str(world), str(rank), str(folder)]
    gang_runs.main()


def bytes_of(outcomes: Outcomes) -> dict[str, tuple[object, ...]]:
    kept = ("weights", "curve", "held_out")
    return {name: tuple(outcome[part] for part in kept) for name, outcome in outcomes.items()}


def test_three_workers_and_then_two_end_in_the_bytes_of_one(make_job: Callable[..., Job], tmp_path: Path) -> None:
    cases = {"gpt": GPT, "even": {**GPT, "model": {**GPT["model"], "dropout": 0.0}}}
    plain = {"plain": {**cases["even"], "reduction": "engine"}}
    one = trained(make_job, tmp_path / "one", {**cases, **plain}, (1, 12))
    joined = trained(make_job, tmp_path / "joined", cases, (3, 4), (2, 12))
    reference = one.pop("plain")
    assert bytes_of(joined) == bytes_of(one)
    assert joined["gpt"]["first"] == 4
    assert one["gpt"]["numerics"]["tree_leaves"] == 8 and "workers" not in one["gpt"]["numerics"]
    assert "earlier" not in joined["gpt"]["numerics"], "another number of workers is no other class"
    assert one["gpt"]["weights"] != one["even"]["weights"], "dropout has an effect"
    for name in ("loss", "gradient_norm"):
        assert one["even"]["curve"][name] == pytest.approx(reference["curve"][name], abs=TOLERANCE)


@pytest.mark.long
def test_any_number_of_workers_has_the_bytes_of_one(make_job: Callable[..., Job], tmp_path: Path) -> None:
    one = bytes_of(trained(make_job, tmp_path / "one", CASES, (1, 6)))
    for world in (4, 2, 3, 7):
        assert bytes_of(trained(make_job, tmp_path / f"{world}", CASES, (world, 6))) == one, world
    assert bytes_of(trained(make_job, tmp_path / "turns", CASES, (4, 2), (3, 4), (1, 6))) == one
