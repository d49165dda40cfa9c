"""Every combination of some values, what they share done once, their scores side by side."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.commands.sweep import choices
from cluster.table import cells, table
from pipeline.core.errors import UserError


def test_every_combination_runs_and_shared_stages_run_once(folder: Any) -> None:
    printed = folder.run("sweep", "tiny.yaml", "teach.steps=1,2", "sift.longest=8")
    assert {stage: len(found) for stage, found in folder.published().items()} == {
        "gather": 1, "sift": 1, "teach": 2, "judge": 2,
    }  # fmt: skip
    assert "— 2 of 2: teach.steps=2 sift.longest=8" in printed
    assert printed.strip().splitlines()[-3].split() == ["teach.steps", "perplexity.bits_per_byte"]
    assert [line.split()[0] for line in printed.strip().splitlines()[-2:]] == ["1", "2"]


def test_a_wrong_combination_is_told_before_any_work(folder: Any) -> None:
    printed = folder.run("sweep", "tiny.yaml", "teach.steps=1,many", code=2)
    assert "command line: teach.steps: should be" in printed
    assert not folder.workdir.exists()


def test_a_failed_combination_is_in_the_table_and_in_the_exit_code(folder: Any) -> None:
    printed = folder.run("sweep", "tiny.yaml", "teach.steps=1,2", code=1, BEHAVE_teach="fail")
    assert printed.strip().splitlines()[-1].split() == ["2", "failed"]


def test_values_are_parted_at_commas_outside_brackets_and_quotes() -> None:
    assert choices("a.b=1,2e-3") == ["a.b=1", "a.b=2e-3"]
    assert choices("f=[length, quality],[{length: {min_units: 3}}]") == [
        "f=[length, quality]",
        "f=[{length: {min_units: 3}}]",
    ]
    assert choices("p='今天,天气',x") == ["p='今天,天气'", "p=x"]
    with pytest.raises(UserError, match=r"section\.key=value"):
        choices("pretrain.steps")


def test_a_table_counts_wide_characters_as_two() -> None:
    printed = table(["语言", "bits"], [["zh", "2.31"], ["en", "11.71"]])
    assert printed.splitlines() == ["语言   bits", "zh     2.31", "en    11.71"]
    assert cells("铁a") == 3
