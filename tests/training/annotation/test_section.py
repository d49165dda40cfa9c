"""The section annotate: what check finds before any work, and what enters a fingerprint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.checks import ConfiguredStage
from training.annotation.section import Annotate, annotate_params, externals, file_sources, files_are_there


def problems(model: Any) -> list[tuple[str, str]]:
    section = Annotate.model_validate({"name": "quality", "model": model})
    stage = ConfiguredStage("annotate", ("annotate", 0), section)
    return [(".".join(map(str, mismatch.path)), mismatch.what) for mismatch in files_are_there(stage)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files of a model, whose weights are not looked at by check."""
    config = {"model_type": "bert", "max_position_embeddings": 64, "id2label": {"0": "差", "1": "好"}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "notes.md").write_text("not of the model", encoding="utf-8")
    return tmp_path


def test_a_missing_file_of_texts_is_found_with_its_place(tmp_path: Path, toy: str) -> None:
    there = tmp_path / "there.jsonl"
    there.write_text('{"text": "河流"}\n', encoding="utf-8")
    like = [{"reader": "jsonl", "paths": str(there)}, {"reader": "jsonl", "paths": str(tmp_path / "gone.jsonl")}]
    [(path, what)] = problems({f"{toy}:Learned": {"like": like}})
    assert path == f"annotate.0.model.{toy}:Learned.like.1" and "gone.jsonl: no file matches" in what
    like[1] = {"reader": "jsonl", "paths": str(there), "text": "body"}
    [(_, what)] = problems({f"{toy}:Learned": {"like": like}})
    assert "body" in what


def test_a_folder_that_holds_no_model_is_found(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    [(path, what)] = problems({"transformers": {"folder": str(tmp_path / "empty")}})
    assert path.endswith("transformers.folder") and "config.json is missing" in what
    (folder / "tokenizer.json").unlink()
    [(_, what)] = problems({"transformers": {"folder": str(folder), "max_length": 64, "label": "好"}})
    assert "has no tokenizer.json" in what


def test_options_that_do_not_fit_the_model_are_found(folder: Path) -> None:
    assert problems({"transformers": {"folder": str(folder), "max_length": 64, "label": "好"}}) == []
    found = dict(problems({"transformers": {"folder": str(folder)}}))
    assert "the model has positions for 64" in found["annotate.0.model.transformers.max_length"]
    assert "2 outputs (差, 好)" in found["annotate.0.model.transformers.label"]


def test_an_artifact_that_is_not_there_is_found(tmp_path: Path) -> None:
    [(path, what)] = problems({"bloomery": {"artifact": str(tmp_path)}})
    assert path == "annotate.0.model.bloomery.artifact" and "no artifact in" in what


def test_the_files_of_a_folder_count_and_not_its_place(folder: Path, tmp_path: Path) -> None:
    section = Annotate.model_validate({"name": "quality", "model": {"transformers": {"folder": str(folder)}}})
    params = annotate_params(section, 17)
    files = params["model"]["transformers"]["folder"]
    assert set(files) == {"config.json", "model.safetensors", "tokenizer.json"}
    assert str(tmp_path) not in json.dumps(params) and "seed" not in params
    [source] = file_sources(section)
    assert source["folder"] == str(folder) and [file["name"] for file in source["files"]] == sorted(files)
    (folder / "model.safetensors").write_bytes(b"other weights")
    assert annotate_params(section, 17) != params


def test_an_artifact_is_an_input_and_no_parameter() -> None:
    section = Annotate.model_validate({"name": "bits", "model": {"bloomery": {"artifact": "work/elsewhere"}}})
    assert annotate_params(section, 17) == {"name": "bits", "model": {"bloomery": {"windows": 1}}}
    assert externals(section) == {"scoring_model": "work/elsewhere"}
