"""ZeRO beside the plain engine: every stage on the same curve, and a start that needs and calls no compiler."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from tests.support.processes import run_gang

WORKER = Path(__file__).with_name("engine_curves.py")
ENGINES = ("plain", "zero-0", "zero-1", "zero-2", "zero-3")
RECURRENT = ("lstm", "gru", "bilstm")
COMPILERS = ("g++", "c++", "gcc", "cc", "clang", "clang++", "ninja", "nvcc", "hipcc")
TOLERANCE = 1e-5  # nats a token, fp32
BF16_TOLERANCE = 2e-3
STEPS = 20


def train(folder: Path, names: list[str], *, world: int, steps: int, path: Path) -> dict[str, list[float]]:
    """The losses of a gang of `world` processes that find programs in `path` and nowhere else."""
    settings = {"PATH": str(path), "HOME": str(folder), "TORCH_EXTENSIONS_DIR": str(folder / "extensions")}
    environment = {key: value for key, value in os.environ.items() if key not in ("CC", "CXX", "LOCAL_RANK")}
    command = [sys.executable, WORKER, str(folder), ",".join(names), str(steps)]
    # guards against a hang alone: 32 trainings take a minute of an idle machine, and many on a busy one
    run_gang(world, command, {**environment, **settings}, timeout=900)
    curves: dict[str, list[float]] = json.loads((folder / "curves.json").read_text())
    return curves


@pytest.fixture(scope="module")
def curves(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[float]]]:
    """Two workers, every engine, both optimizers; whoever asks for a compiler finds one that tells and fails."""
    folder = tmp_path_factory.mktemp("gang")
    (tools := folder / "tools").mkdir()
    for name in COMPILERS:
        (tools / name).write_text(f'#!/bin/sh\necho "{name} $@" >> "{folder}/called"\nexit 1\n')
        (tools / name).chmod(stat.S_IRWXU)
    names = [f"{optimizer}/{engine}" for optimizer in ("adamw", "muon") for engine in ENGINES]
    names += [f"{family}/adamw/{engine}" for family in RECURRENT for engine in ENGINES]
    names += [f"bf16/adamw/{engine}" for engine in ENGINES]
    names += ["gru/muon/plain", "gru/muon/zero-3"]
    return folder, train(folder, names, world=2, steps=STEPS, path=tools)


@pytest.mark.parametrize("stage", range(4))
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_every_stage_is_on_the_curve_of_the_plain_engine(
    curves: tuple[Path, dict[str, list[float]]], optimizer: str, stage: int
) -> None:
    plain, zero = curves[1][f"{optimizer}/plain"], curves[1][f"{optimizer}/zero-{stage}"]
    assert len(plain) == STEPS and plain[-1] < plain[0] - 0.1, "it must learn, or agreeing says nothing"
    gap = max(abs(a - b) for a, b in zip(plain, zero, strict=True))
    assert gap <= TOLERANCE, f"{gap:.1e}"


def test_no_compiler_is_called_where_there_is_one(curves: tuple[Path, dict[str, list[float]]]) -> None:
    folder, _ = curves
    called = folder / "called"
    assert not called.exists(), called.read_text()
    assert not (folder / "extensions").exists(), "something was built"


def test_it_starts_where_there_is_no_compiler(tmp_path: Path) -> None:
    (nothing := tmp_path / "tools").mkdir()
    curves = train(tmp_path, ["adamw/zero-2"], world=1, steps=2, path=nothing)
    assert len(curves["adamw/zero-2"]) == 2


@pytest.mark.parametrize("stage", range(4))
def test_every_stage_is_on_the_curve_of_the_plain_engine_in_bf16(
    curves: tuple[Path, dict[str, list[float]]], stage: int
) -> None:
    plain, zero = curves[1]["bf16/adamw/plain"], curves[1][f"bf16/adamw/zero-{stage}"]
    assert plain[-1] < plain[0] - 0.04, "it must learn, or agreeing says nothing"
    assert max(abs(a - b) for a, b in zip(plain, zero, strict=True)) <= BF16_TOLERANCE


@pytest.mark.parametrize("stage", range(4))
@pytest.mark.parametrize("family", RECURRENT)
def test_recurrent_models_are_on_one_curve_too_with_their_states_and_masks(
    curves: tuple[Path, dict[str, list[float]]], family: str, stage: int
) -> None:
    plain, zero = curves[1][f"{family}/adamw/plain"], curves[1][f"{family}/adamw/zero-{stage}"]
    assert plain[-1] < plain[0] - 0.04, "it must learn, or agreeing says nothing"
    assert max(abs(a - b) for a, b in zip(plain, zero, strict=True)) <= TOLERANCE


def test_shared_matrices_of_a_recurrent_model_move_under_muon_as_whole_ones_do(
    curves: tuple[Path, dict[str, list[float]]],
) -> None:
    pairs = zip(curves[1]["gru/muon/plain"], curves[1]["gru/muon/zero-3"], strict=True)
    assert max(abs(a - b) for a, b in pairs) <= TOLERANCE
