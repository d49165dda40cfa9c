"""Thresholds by language: a number, a mapping over the defaults, or off."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.filters.limits import CHARACTERS, WORDS, key_of
from pipeline.filters.section import Length, Quality


def test_a_number_is_for_every_language() -> None:
    assert Length(min_units=80).min_units == {WORDS: 80, CHARACTERS: 80}  # type: ignore[arg-type]


def test_a_mapping_changes_only_what_it_names() -> None:
    found = Quality.model_validate({"min_function_words": {"zh_Hant": 3}, "max_hash_signs": {"words": 0.2}})
    assert found.min_function_words == {"en": 2, "zh": 1, "zh-Hant": 3}
    assert found.max_hash_signs == {WORDS: 0.2, CHARACTERS: 0.1}


def test_null_switches_a_rule_off() -> None:
    assert set(Quality.model_validate({"max_bullet_lines": None}).max_bullet_lines.values()) == {None}


@pytest.mark.parametrize("value", [{"some language": 3}, "80", True, [1]])
def test_what_is_no_threshold_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        Length.model_validate({"min_units": value})


def test_the_particular_goes_before_the_general() -> None:
    limits = {"zh": 1.0, "zh-Hant": 2.0, WORDS: 3.0}
    assert key_of(limits, "zh-TW", CHARACTERS) == "zh-Hant"
    assert key_of(limits, "zh", CHARACTERS) == "zh"
    assert key_of(limits, "fr", WORDS) == key_of(limits, None, WORDS) == WORDS
    assert key_of(limits, "ja", CHARACTERS) is None
