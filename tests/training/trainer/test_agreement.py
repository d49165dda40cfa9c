"""One experiment, any engine: the same formulas, fp32 weights and autocast, so the same losses within the contract.

The contract: |Δloss| ≤ 1e-5 in fp32, ≤ 2e-3 in bf16 over 100 steps. Two workers on CPUs do better: ZeRO 2 and plain add
gradients up in the same order, so that their weights agree to the bit.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow.parquet as pq
import pytest
import torch

from pipeline.core.files import JsonObject, JsonValue
from pipeline.core.job import Job
from training.engines import device
from training.stages.pretrain import run

TOLERANCE = {"fp32": 1e-5, "bf16": 2e-3}
MODEL = {"family": "gpt", "layers": 2, "heads": 2, "width": 32}
PRECISION = device.precision("auto", torch.device("cpu"))
BF16 = pytest.param("bf16", marks=pytest.mark.skipif(PRECISION == "fp32", reason="no bf16 here"))


def losses(job: Job) -> list[float]:
    columns: list[float] = pq.read_table(job.folder / "curve.parquet")["loss"].to_pylist()
    return columns


def weights(job: Job) -> bytes:
    return (job.folder / "model" / "model.safetensors").read_bytes()


def zero(stage: int, **options: JsonValue) -> JsonObject:
    return {"zero": {"stage": stage, **options}}


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_zero_2_and_plain_end_in_the_same_bytes(make_job: Callable[..., Job], optimizer: str) -> None:
    options = {"workers": 2, "optimizer": optimizer, "model": MODEL, "clip": 0.05, "precision": PRECISION}
    # two micro-batches a worker a step
    plain = make_job("plain", engine={"plain": {"micro_batch_tokens": 32}}, **options)
    zero2 = make_job("zero", engine=zero(2, micro_batch_tokens=32), **options)
    run(plain)
    run(zero2)
    assert losses(zero2) == losses(plain)
    assert weights(zero2) == weights(plain)


@pytest.mark.long
@pytest.mark.parametrize("precision", ["fp32", BF16])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_every_stage_agrees_with_plain_over_a_hundred_steps(
    make_job: Callable[..., Job], optimizer: str, precision: str
) -> None:
    options: JsonObject = {"steps": 100, "optimizer": optimizer, "precision": precision, "model": MODEL}
    options |= {"batch_tokens": 32 * 16, "save_every": 1000, "workers": 2}
    plain = make_job("plain", **options)
    run(plain)
    for stage in range(4):
        sharded = make_job(f"zero-{stage}", engine=zero(stage), **options)
        run(sharded)
        gap = max(abs(a - b) for a, b in zip(losses(sharded), losses(plain), strict=True))
        assert gap <= TOLERANCE[precision], f"stage {stage}: {gap:.1e}"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_on_a_gpu_bf16_is_chosen_and_learns(make_job: Callable[..., Job]) -> None:
    job = make_job("a", steps=60, precision="auto", optimizer={"muon": {"lr": 0.05, "rest_lr": 0.02}})
    outcome = run(job)
    assert outcome.numerics is not None and outcome.numerics["precision"] == "bf16"
    assert losses(job)[-1] < 3.0
