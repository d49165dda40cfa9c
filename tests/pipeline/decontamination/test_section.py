"""The section `decontaminate`: mistakes are found before any work, and the content of the files is the fingerprint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.decontamination.section import Decontaminate, decontaminate_files, decontaminate_params


def problems(**section: Any) -> str:
    with pytest.raises(ValidationError) as error:
        Decontaminate.model_validate(section)
    return str([detail.get("ctx", {}).get("inner", detail["msg"]) for detail in error.value.errors()])


def test_every_file_of_a_pattern_is_a_task(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.csv"):
        (tmp_path / name).write_text("x\n")
    section = Decontaminate(files=[f"{tmp_path}/*"])  # type: ignore[list-item]
    assert [task["task"] for task in decontaminate_params(section, 17)["tasks"]] == ["a", "b"]
    assert [source["files"][0]["name"] for source in decontaminate_files(section)] == ["a.csv", "b.jsonl"]


def test_the_content_is_in_the_fingerprint_and_the_place_is_not(tmp_path: Path) -> None:
    params = []
    for folder, text in (("one", "x"), ("two", "x"), ("three", "y")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "t.jsonl").write_text(text)
        params.append(decontaminate_params(Decontaminate(files=[str(tmp_path / folder)]), 17))  # type: ignore[list-item]
    assert params[0] == params[1] != params[2]
    assert str(tmp_path) not in str(params)


def test_mistakes_are_found_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text("x")
    (tmp_path / "t.csv").write_text("x")
    (tmp_path / "t.pdf").write_text("x")
    assert "is missing" in problems(files=[str(tmp_path / "nothing.jsonl")]) or "no file" in problems(
        files=[str(tmp_path / "nothing.jsonl")]
    )
    assert "unknown format" in problems(files=[str(tmp_path / "t.pdf")])
    assert "second file for the task 't'" in problems(files=[str(tmp_path / "t.jsonl"), str(tmp_path / "t.csv")])
    assert "at least 1 item" in problems(files=[])
