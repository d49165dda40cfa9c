"""The estimate of a training: figures, warnings, what cannot fit and the nearest that would."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.core.errors import UserError
from pipeline.core.estimate import Estimate, StepFacts
from pipeline.core.files import JsonObject
from pipeline.core.job import ClusterOptions
from pipeline.tokenizers.section import Pack, Tokenizer
from training.planning.estimate import estimate, passes_remark
from training.planning.memory import MemoryLayout, nearest_that_fits
from training.section import Pretrain

MEASURED: JsonObject = {
    "parameters": 100_000_000, "trained": 100_000_000, "matrices": 80_000_000, "embeddings": 20_000_000,
    "largest": 20_000_000, "device": "cpu avx2", "precision": "fp32", "base_bytes": 300_000_000,
    "row_bytes": 50_000_000, "row_seconds": 0.5, "update_seconds": 1.0,
}  # fmt: skip


def estimated(*, measured: JsonObject | None = MEASURED, workers: int = 1, memory: float = 64e9,
              hardware: str | None = None, price: float | None = None, **options: Any) -> Estimate:  # fmt: skip
    section = Pretrain.model_validate({"steps": 1000, "batch_tokens": 16 * 1024, **options})
    facts = StepFacts(
        section, {"tokens": Pack(length=1024), "tokenizer": Tokenizer()}, {}, ClusterOptions(workers=workers),
        lambda module, question: measured, int(memory), hardware, price,
    )  # fmt: skip
    return estimate(facts)


def test_time_and_cost_follow_from_what_was_measured() -> None:
    figures = estimated(price=2.0).figures
    # 16 rows of half a second, and an update
    assert figures["tokens_per_second"] == pytest.approx(16 * 1024 / 9)
    assert figures["hours"] == pytest.approx(2.5) and figures["euros"] == pytest.approx(5.0)
    assert figures["checkpoint_bytes"] == 12 * 100e6
    two = estimated(workers=2, engine={"zero": {"stage": 2}}).figures
    assert two["tokens_per_second"] == pytest.approx(16 * 1024 / 4.5), "rows and update are shared"
    assert two["step_bytes"] == pytest.approx(4 * 100e6)


def test_muon_keeps_one_number_of_a_matrix() -> None:
    saved = estimated().figures["checkpoint_bytes"] - estimated(optimizer="muon").figures["checkpoint_bytes"]
    assert saved == 4 * 80e6


def test_a_named_gpu_says_its_assumption_and_an_unknown_one_the_known() -> None:
    text = dict(estimated(hardware="h100", workers=8).lines)["time"]
    assert "H100" in text and "MFU of 35% assumed" in text
    with pytest.raises(UserError, match=r"no such GPU.*h100"):
        estimated(hardware="h1000")


def test_many_hours_are_told_loudly() -> None:
    assert not estimated().warnings
    [warning] = estimated(steps=22_800).warnings
    assert "57 h" in warning


@pytest.mark.parametrize(("steps", "said"), [(100, None), (1000, "about 16.4 passes"), (400, "about 6.6 passes")])
def test_passes_are_told_before_any_work_where_the_text_is_small(steps: int, said: str | None) -> None:
    remark = passes_remark(Pretrain(steps=steps, batch_tokens=16384), 2_000_000)
    assert (remark or "").startswith(said or "") and (remark is None) == (said is None)
    assert passes_remark(Pretrain(epochs=40), 2_000_000) is None, "what was written needs no telling"


def test_what_does_not_fit_is_refused_with_the_nearest_that_would() -> None:
    assert estimated(memory=2.5e9).problem == ""
    smaller = estimated(memory=2.1e9).problem
    assert "engine.micro_batch_tokens=4096" in smaller, smaller
    # 8 B parameters: 128 GB a worker in the plain engine
    large = {**MEASURED, "parameters": 8 * 10**9, "trained": 8 * 10**9, "matrices": 7 * 10**9, "embeddings": 10**9}
    sharded = estimated(measured=large, memory=8 * 90e9, workers=8).problem
    assert "a worker needs 12" in sharded and "pretrain.engine: {zero: {stage: 1" in sharded, sharded
    assert "smaller model or more workers" in estimated(memory=1e9).problem


def test_the_nearest_is_the_layout_itself_where_it_fits() -> None:
    layout = MemoryLayout("plain", 0, 2, 100, 10, 200, 8, 1, 1000, 5000)
    assert nearest_that_fits(layout, layout.worker_bytes) == layout
    one = replace(layout, workers=1)
    # 6,600 bytes of weights, gradients and state, and 1,000 of each row
    assert nearest_that_fits(one, 7700) == replace(one, micro_rows=1, micro_batches=8)
    assert nearest_that_fits(one, 7500) is None


def test_what_was_not_measured_is_said() -> None:
    unmeasured = {key: value for key, value in MEASURED.items() if "seconds" not in key}
    text = dict(estimated(measured={**unmeasured, "problem": "the model is too large"}).lines)["time"]
    assert text.startswith("unknown: the model is too large")
    assert [name for name, _ in estimated(measured=None).lines] == ["reads"]
    failed = dict(estimated(measured={"problem": "measuring failed (no room)"}).lines)
    assert failed["needs"] == "unknown: measuring failed (no room)"


def test_epochs_have_no_time_before_pack_is_done() -> None:
    estimate = estimated(steps=None, epochs=3, price=2.0)
    lines = dict(estimate.lines)
    assert lines["time"] == "known once pack is done" and "cost" not in lines and "hours" not in estimate.figures


def test_word_vectors_are_not_warned_about_passes() -> None:
    assert not estimated(model="word2vec", steps=None, batch_tokens=8 * 1024).warnings
