"""Models that learn from texts of the user, through the stage: their artifact, their use in another run, checks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support.made_texts import noise, prose
from training.annotation.section import Annotate, files_are_there


@pytest.fixture
def sets(tmp_path: Path) -> dict[str, str]:
    """Files of texts: prose (good) and noise (bad)."""
    paths = {}
    for name, texts in {"good": prose(1000), "bad": noise(100)}.items():
        lines = [json.dumps({"text": text, "lang": language}, ensure_ascii=False) for text, language in texts]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
        paths[name] = str(tmp_path / f"{name}.jsonl")
    return paths


def scores_of(job: Any, output: Any) -> list[float | None]:
    files = [job.folder / file.path for file in output.files if file.path.startswith("scores/")]
    return [value for file in files for value in pq.read_table(file)["score_size"].to_pylist()]


def test_a_learned_classifier_is_in_the_artifact_and_scores_alike_in_another_run(
    documents: Any, make_annotate_job: Any, annotate_with: Any, sets: dict[str, str], tmp_path: Path
) -> None:
    learning = make_annotate_job({"documents": documents}, {"classifier": {**sets, "table_bits": 12}})
    learned = annotate_with(learning)
    recorded = {file.path for file in learned.files}
    assert {"prepared/model.safetensors", "prepared/config.json", "annotation.json"} <= recorded
    folder = tmp_path / "kept"
    shutil.copytree(learning.folder / "prepared", folder)
    using = make_annotate_job({"documents": documents}, {"classifier": {"folder": str(folder)}}, name="b")
    used = annotate_with(using)
    assert scores_of(using, used) == scores_of(learning, learned)


def test_a_language_model_judges_the_languages_that_it_has_read(
    documents: Any, make_annotate_job: Any, annotate_with: Any, sets: dict[str, str]
) -> None:
    job = make_annotate_job({"documents": documents}, {"ngram": {"text": sets["good"], "table_bits": 16}})
    output = annotate_with(job)
    assert output.counts["unscored"] == {"unknown": 23}
    figures = json.loads((job.folder / "annotation.json").read_text())["figures"]
    assert set(figures["languages"]) == {"en", "zh"} and output.numerics is None


def test_a_folder_without_a_classifier_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    section = Annotate.model_validate({"name": "quality", "model": {"classifier": {"folder": str(tmp_path)}}})
    stage: Any = type("Stage", (), {"section": section, "path": ("annotate",)})
    problems = list(files_are_there(stage))
    assert [problem.path for problem in problems] == [("annotate", "model", "classifier", "folder")]
    assert "has no model.safetensors" in problems[0].what
