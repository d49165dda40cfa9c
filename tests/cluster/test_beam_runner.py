"""What `check` refuses of `cluster.beam`, each by the name of its key."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.beam_runner import problems
from cluster.sections import Beam


def refusals(*, workdir: str = "work", raw_paths: tuple[str, ...] = (), **beam: Any) -> dict[str, str]:
    return {".".join(p.path): p.what for p in problems(Beam(**beam), workdir=workdir, raw_paths=raw_paths)}


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
