"""Where stages stand in the flow, and which earlier entries a section reads by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.config import load
from cluster.sections import stage_table
from pipeline.core.errors import ConfigError

CONFIG = """\
workdir: work
ingest: {{sources: [{{reader: jsonl, paths: a.jsonl}}]}}
annotate:
  - {{name: quality, model: "scoring_models:Zero"}}
  - {{name: bits, model: "scoring_models:Zero"}}
clean: {{filters: [{filters}]}}
dedupe:
"""
MODEL = """
from training.annotation.base import Scorer
class Zero(Scorer):
    def score(self, documents):
        return [0.0] * len(documents)
"""


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def read(filters: str, *overrides: str) -> Any:
        (tmp_path / "run.yaml").write_text(CONFIG.format(filters=filters), encoding="utf-8")
        return load(tmp_path / "run.yaml", overrides, checks=())

    (tmp_path / "scoring_models.py").write_text(MODEL, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return read


def test_a_model_stage_may_stand_between_two_data_stages() -> None:
    names = [spec.name for spec in stage_table()]
    assert names[names.index("signals") : names.index("dedupe")] == ["signals", "annotate", "clean"]
    assert len(names) == len(set(names)) and names[-1] == "export"


def test_a_step_reads_the_entries_that_its_options_name_and_no_other(read: Any) -> None:
    reads = {step.id: step.reads for step in read("length, {score: {min_quality: {zh: 0.5}}}").steps}
    assert reads["clean"] == {"documents": ("signals",), "annotations": ("annotate.quality",)}
    assert reads["annotate.bits"] == {"documents": ("signals",)} and reads["dedupe"] == {"documents": ("clean",)}
    both = {step.id: step.reads for step in read("{score: {max_bits: 9, min_quality: 1, min_bits: 2}}").steps}
    assert both["clean"]["annotations"] == ("annotate.bits", "annotate.quality")
    assert "annotations" not in {step.id: step.reads for step in read("length").steps}["clean"]


def test_a_name_that_no_entry_has_is_a_problem_with_its_line(read: Any) -> None:
    with pytest.raises(ConfigError) as error:
        read("length, {score: {min_qualty: 0.5}}")
    assert "run.yaml:6: clean.filters[1].score.min_qualty: no earlier section has an entry named 'qualty'." in str(
        error.value
    )
    assert "Did you mean 'quality'?" in str(error.value)


def test_scores_without_a_model_are_a_problem(read: Any) -> None:
    with pytest.raises(ConfigError, match="no earlier section has an entry named 'quality'. No earlier section makes"):
        read("{score: {min_quality: 1}}", "annotate=null")


def test_a_name_that_decides_bytes_is_part_of_the_section(read: Any) -> None:
    loaded = read("{score: {min_quality: 0.5}}")
    [entry, _] = loaded.config.annotate
    resolved = loaded.resolved()
    assert entry.name == "quality" and resolved["annotate"][0]["name"] == "quality"
    assert list(resolved)[3:7] == ["ingest", "annotate", "clean", "dedupe"]
    changed = read("{score: {min_quality: 0.5}}", "clean.filters=[{score: {min_bits: 1}}]")
    assert {step.id: step.reads for step in changed.steps}["clean"]["annotations"] == ("annotate.bits",)
