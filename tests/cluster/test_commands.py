"""sample and doctor: what they find and what they say when there is nothing to find."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.commands import doctor
from cluster.sections import stage_table
from pipeline.core.registry import load


def test_the_names_in_the_stages_tables_are_there() -> None:
    for spec in stage_table():
        hooks = (
            spec.raw,
            spec.report,
            spec.compared,
            spec.summary,
            spec.order,
            spec.sampler,
            spec.prompts,
            spec.explorer,
            spec.exporter,
            *spec.checks,
        )
        assert all(callable(load(hook)) for hook in hooks if hook)


def test_a_model_writes(finished: Any) -> None:
    assert finished.run("sample", "--prompt", "铁") == "铁 3 steps, seed 17\n"


def test_a_run_without_a_model_cannot_be_sampled(folder: Any) -> None:
    folder.run("run", "tiny.yaml", "--to", "sift")
    printed = folder.run("sample", code=2)
    assert "has no trained model yet" in printed and "bloomery run" in printed


def test_doctor_finds_this_machine_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "HEAVY", {"Beam": "print('2.77.0')"})
    assert doctor.doctor(tmp_path) == 0
    printed = capsys.readouterr().out
    for expected in ("✓ Python", "memory", "disk", "bf16", "(not needed)", "✓ libraries", "✓ Beam          2.77.0"):
        assert expected in printed


def test_doctor_tells_a_library_that_does_not_import_or_is_of_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "HEAVY", {"Ray": "import 铁"})
    monkeypatch.setattr(doctor, "requires", lambda name: ["pyarrow<3", "no-such-thing>=1", "typer>=0.1"])
    assert doctor.doctor(tmp_path) == 1
    printed = capsys.readouterr().out
    assert "✗ libraries     pyarrow 25.0.1 (required: <3); no-such-thing is missing (required: >=1)" in printed
    assert "✗ Ray           does not import: ModuleNotFoundError: No module named '铁'" in printed
    assert "2 checks failed" in printed
