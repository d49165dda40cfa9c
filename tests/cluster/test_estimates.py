"""A model is measured once, in a process of its own; where that fails, the plan goes on without."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cluster.estimates import kept, measured
from pipeline.core.files import JsonObject
from training.planning.estimate import MEASURE

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
    assert measured(MEASURE, broken) is None and kept(MEASURE, broken) is None
