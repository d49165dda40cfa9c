"""What `check` refuses of `cluster.beam`, each by the name of its key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.beam_runner import problems
from cluster.config import load
from cluster.sections import Beam
from pipeline.core.errors import ConfigError


def refusals(
    *, workdir: str = "work", raw_paths: tuple[str, ...] = (), secrets: tuple[str, ...] = (), **beam: Any
) -> dict[str, str]:
    refused = problems(Beam(**beam), workdir=workdir, raw_paths=raw_paths, secrets=secrets)
    return {".".join(problem.path): problem.what for problem in refused}


def test_an_unknown_runner_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'embedded', 'ray', 'portable', 'flink', 'spark' or 'dataflow'"):
        Beam(runner="dask")


@pytest.mark.parametrize("runner", ["embedded", "ray"])
def test_options_without_a_runner_that_takes_them_are_refused(runner: str) -> None:
    assert refusals(runner=runner, options={"parallelism": 4}) == {
        "options": f"the runner {runner} takes no options; portable, flink, spark and dataflow do."
    }
    assert refusals(runner=runner, workers=4) == {}


def test_a_number_of_workers_that_the_runner_would_ignore_is_refused() -> None:
    assert refusals(runner="flink", workers=4, options={"parallelism": 4}) == {
        "workers": "the runner flink chooses the number of workers itself."
    }


def test_unknown_options_are_named() -> None:
    assert refusals(runner="spark", options={"spark_mastr": "x"}) == {
        "options.spark_mastr": "Beam does not know the option 'spark_mastr'."
    }


def test_dataflow_sees_nothing_of_this_machine() -> None:
    refused = refusals(runner="dataflow", raw_paths=("texts/a.txt",))
    assert refused["runner"] == "the workers of dataflow do not see texts/a.txt, which is on this machine."
    assert "runner" not in refusals(runner="flink", raw_paths=("texts/a.txt",))


def test_no_secret_is_given_to_an_engine_that_keeps_its_jobs_in_clear_text() -> None:
    assert refusals(runner="flink", secrets=("${PLUG_IN_KEY}",)) == {
        "runner": "the runner flink keeps its jobs in clear text, and ${PLUG_IN_KEY} would be in them."
    }
    assert refusals(runner="ray", secrets=("${PLUG_IN_KEY}",)) == {}


def test_the_secrets_of_data_stages_are_those_that_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELF_TOKEN", "not-to-be-seen")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n', encoding="utf-8")
    text = (
        "ingest: {sources: [{reader: jsonl, paths: a.jsonl, text: '${SHELF_TOKEN}'}]}\n"
        "cluster: {beam: {runner: flink, options: {parallelism: 2}}}\n"
    )
    (tmp_path / "run.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "run.yaml")
    assert "cluster.beam.runner: the runner flink keeps its jobs in clear text, and ${SHELF_TOKEN}" in str(caught.value)
    assert "not-to-be-seen" not in str(caught.value)
