"""A model is measured once, in a process of its own; where that fails, the plan goes on without."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.config import load
from cluster.estimates import estimates, kept, measured
from cluster.plan import plan
from pipeline.core.files import JsonObject
from pipeline.core.store import Store
from training.planning.estimate import MEASURE

DEMO = Path(__file__).parents[2] / "configs" / "demo.yaml"
QUESTION: JsonObject = {
    "section": {"model": {"family": "gpt", "layers": 1, "heads": 2, "width": 16}, "steps": 5, "batch_tokens": 64},
    "vocabulary": 64, "length": 16, "threads": 1,
}  # fmt: skip


def test_a_model_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOOMERY_SCRATCH", str(tmp_path))
    assert kept(MEASURE, QUESTION) is None
    answer = measured(MEASURE, QUESTION)
    # width 16: 64 × 16 of the embedding, four square matrices, three of the MLP (64 wide), three norms
    assert answer is not None and answer["parameters"] == 64 * 16 + 4 * 16 * 16 + 3 * 16 * 64 + 3 * 16
    assert answer["row_seconds"] > 0 and answer["base_bytes"] > 100e6

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("it was measured again")

    monkeypatch.setattr(subprocess, "run", refuse)
    assert measured(MEASURE, QUESTION) == answer == kept(MEASURE, QUESTION)


def test_a_question_that_cannot_be_answered_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOOMERY_SCRATCH", str(tmp_path))
    broken = {**QUESTION, "section": {"model": "no such family"}}
    answer = measured(MEASURE, broken)
    assert "parameters" not in answer and "no such family" in answer["problem"]
    assert kept(MEASURE, broken) is None


def test_a_kept_answer_that_is_damaged_is_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOOMERY_SCRATCH", str(tmp_path))
    answer = measured(MEASURE, QUESTION)
    [path] = (tmp_path / "estimates").iterdir()
    path.write_text('{"parameters": 1', encoding="utf-8")
    assert kept(MEASURE, QUESTION) is None and measured(MEASURE, QUESTION)["parameters"] == answer["parameters"]


def test_a_run_measures_nothing_and_loads_nothing_for_what_is_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLOOMERY_SCRATCH", str(tmp_path))

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("it was measured or loaded")

    (tmp_path / "a.jsonl").write_text('{"text": "铁"}\n', encoding="utf-8")
    source = f"ingest.sources=[{{reader: jsonl, paths: {tmp_path}/a.jsonl}}]"
    loaded = load(DEMO, [f"workdir={tmp_path}", source])
    steps = plan(loaded, Store(loaded.workdir))
    monkeypatch.setattr(subprocess, "run", refuse)
    [(step, estimate)] = estimates(loaded, steps)
    assert step.id == "pretrain" and [name for name, _ in estimate.lines] == ["reads"], "nothing is kept, nothing known"

    monkeypatch.setattr("cluster.estimates.load", refuse)  # through which the code of a stage is loaded
    cached = [replace(step, state="done") for step in steps]
    assert not list(estimates(loaded, cached, measure=refuse))
    assert not list(estimates(loaded, steps, only=()))
