"""Presets: one word stands for filters and cleaners, which `check` shows."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.core.checks import ConfiguredStage
from pipeline.filters.presets import PRESETS, show_preset
from pipeline.filters.section import Clean


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_stands_for_its_filters_and_cleaners(name: str) -> None:
    section = Clean.model_validate({"filters": name})
    written_out = Clean.model_validate({"filters": list(PRESETS[name].filters)})
    assert section.filters == written_out.filters
    assert section.cleaners[0].name == "unicode" and len(section.cleaners) == 1 + len(PRESETS[name].cleaners)


def test_cleaners_that_are_named_run_before_those_of_the_preset() -> None:
    section = Clean.model_validate({"filters": "c4", "cleaners": [{"c4_lines": {"reading": "code"}}]})
    assert [(cleaner.name, cleaner.options["reading"]) for cleaner in section.cleaners] == [("c4_lines", "code")]


def test_a_list_names_filters_and_no_preset() -> None:
    section = Clean.model_validate({"filters": ["c4"]})
    assert [cleaner.name for cleaner in section.cleaners] == ["unicode"]


def test_an_unknown_preset_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(ValidationError, match="Did you mean 'fineweb'"):
        Clean.model_validate({"filters": "finewebb"})


def test_check_says_what_a_preset_stands_for() -> None:
    section = Clean.model_validate({"filters": "fineweb"})
    (remark,) = show_preset(ConfiguredStage("clean", ("clean",), section))
    assert "gopher_quality (reading: datatrove)" in remark.what and "c4_lines" in remark.what
    assert not list(show_preset(ConfiguredStage("clean", ("clean",), Clean())))
