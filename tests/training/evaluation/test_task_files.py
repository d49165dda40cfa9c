"""Files of tasks: identified by what they hold, never by where they lie; copied and checked before they are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.config import Component
from pipeline.core.errors import StageFailed, UserError
from training.evaluation import task_files
from training.evaluation.section import (
    Evaluate,
    evaluate_params,
    file_problems,
    file_sources,
    head_problem,
    task_problem,
)  # fmt: skip


def with_file(path: Path) -> Evaluate:
    return Evaluate(tasks=["neighbours", {"similarity": {"files": [str(path)]}}])


def written(path: Path, text: str = "诗\t李白\t9.2\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_moved_file_keeps_the_fingerprint_and_a_changed_one_does_not(tmp_path: Path) -> None:
    params, moved, changed = (
        evaluate_params(with_file(written(tmp_path / folder / "a.tsv", text)), 1)
        for folder, text in (("one", "诗\t李白\t9.2\n"), ("two", "诗\t李白\t9.2\n"), ("three", "诗\t李白\t9.3\n"))
    )
    assert params == moved != changed
    assert str(tmp_path) not in json.dumps(params)
    (task,) = params["tasks"][1].values()
    assert task["files"][0]["name"] == "a.tsv" and len(task["files"][0]["sha256"]) == 64
    assert "seed" not in params  # nothing is drawn


def test_tasks_of_an_artifact_get_their_files_back_as_checked_copies(tmp_path: Path) -> None:
    section = with_file(written(tmp_path / "data" / "a.tsv"))
    params = json.loads(json.dumps(evaluate_params(section, 1)))
    tasks = task_files.with_local_copies(params["tasks"], file_sources(section), tmp_path / "draft")
    assert tasks[0] == params["tasks"][0]
    (copy,) = tasks[1]["similarity"]["files"]
    assert Path(copy).name == "a.tsv" and Path(copy).is_relative_to(tmp_path / "draft")
    assert Path(copy).read_bytes() == (tmp_path / "data" / "a.tsv").read_bytes()
    # a resumed attempt needs the source no more
    (tmp_path / "data" / "a.tsv").unlink()
    assert task_files.with_local_copies(params["tasks"], [], tmp_path / "draft") == tasks


def test_a_file_that_changed_or_went_since_the_plan_is_a_clear_failure(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tsv")
    params, sources = evaluate_params(with_file(path), 1), file_sources(with_file(path))
    written(path, "诗\t李白\t1\n")
    with pytest.raises(StageFailed, match="changed after the plan"):
        task_files.with_local_copies(params["tasks"], sources, tmp_path / "draft")
    path.unlink()
    with pytest.raises(StageFailed, match=r"a\.tsv is gone"):
        task_files.with_local_copies(params["tasks"], sources, tmp_path / "draft")


def test_every_file_that_is_missing_or_wrong_is_reported_before_work(tmp_path: Path) -> None:
    good, wrong = written(tmp_path / "good.tsv"), written(tmp_path / "wrong.tsv", "a b c d e\n")
    section = Evaluate(
        tasks=[
            {"similarity": {"files": [str(good), str(wrong), str(tmp_path / "none.tsv")]}},
            {"analogies": {"files": [str(good)]}},
        ]
    )
    problems = file_problems(section)
    assert [at for at, _ in problems] == [0, 0, 1]
    assert "wrong.tsv:1: not a pair" in problems[0][1]
    assert f"{tmp_path / 'none.tsv'}: no such file" in problems[1][1]
    assert "good.tsv:1: not four words" in problems[2][1]
    with pytest.raises(UserError, match=r"none\.tsv: no such file"):
        evaluate_params(section, 1)


@pytest.mark.parametrize("family", ["word2vec", "glove"])
def test_tasks_that_do_not_fit_a_family_are_refused_with_those_that_do(family: str) -> None:
    wrong: Any = task_problem(Evaluate(tasks=["neighbours", "perplexity"]), family)
    assert "perplexity does not fit the family" in wrong and "similarity, analogies, neighbours" in wrong
    assert task_problem(Evaluate(tasks=["neighbours"]), family) is None
    assert "for word2vec, glove" in str(task_problem(Evaluate(tasks=["neighbours"]), "gpt"))
    assert task_problem(Evaluate(tasks=["neighbours"]), "my_pkg.models:Own") is None


def test_the_task_samples_is_refused_for_a_masked_model() -> None:
    section, model = Evaluate(tasks=["perplexity", "samples"]), Component(name="hf")
    assert "masked" in str(head_problem(section, model, "masked"))
    assert head_problem(section, model, "causal") is None
    assert head_problem(Evaluate(tasks=["perplexity"]), model, "masked") is None
