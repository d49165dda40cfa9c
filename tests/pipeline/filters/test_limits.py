"""Thresholds by language: a number, a mapping over the defaults, or off."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.filters.limits import CHARACTERS, WORDS, limit_key
from pipeline.filters.section import Length, Quality
from pipeline.text.language import is_counted_by_character


def test_a_number_is_for_every_language() -> None:
    assert Length(min_units=80).min_units == {WORDS: 80, CHARACTERS: 80}  # type: ignore[arg-type]


def test_a_mapping_changes_only_what_it_names() -> None:
    section = Quality.model_validate({"min_function_words": {"zh_Hant": 3}, "max_hash_signs": {"words": 0.2}})
    assert section.min_function_words == {"en": 2, "zh": 1, "zh-Hant": 3}
    assert section.max_hash_signs == {WORDS: 0.2, CHARACTERS: 0.1}


def test_words_in_a_mapping_speaks_for_the_languages_with_a_default_of_their_own() -> None:
    section = Quality.model_validate({"max_mean_unit_length": {"words": 14}, "max_upper_letters": {"characters": 1}})
    lengths, capitals = Quality().max_mean_unit_length, Quality().max_upper_letters
    by_character = {key: limit for key, limit in lengths.items() if is_counted_by_character(key)}
    assert section.max_mean_unit_length == {"words": 14, **by_character}
    by_word = {key: limit for key, limit in capitals.items() if not is_counted_by_character(key)}
    assert section.max_upper_letters == {"characters": 1, **by_word}
    both = Quality.model_validate({"max_mean_unit_length": {"words": 14, "en": 11}})
    assert both.max_mean_unit_length == {"words": 14, "en": 11, **by_character}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"min_units": 100, "max_units": 50}, "is 100 for words, above max_units (50)"),
        ({"max_units": {"zh": 10}}, "is 20 for zh, above max_units (10)"),
        ({"min_units": {"th": 9}, "max_units": {"characters": 8, "zh": 99}}, "is 20 for characters, above"),
    ],
)
def test_a_least_above_its_most_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Length.model_validate(options)
    (error,) = caught.value.errors()
    (((option,), what, _),) = error["ctx"]["inner"]
    assert option == "min_units" and words in what


def test_a_least_on_its_most_and_limits_of_different_languages_stay() -> None:
    assert Length.model_validate({"min_units": 50, "max_units": 50})
    assert Length.model_validate({"min_units": {"words": 80}, "max_units": {"zh": 40}})
    assert Quality.model_validate({"min_mean_unit_length": {"fi": 12}})


def test_null_switches_a_rule_off() -> None:
    assert set(Quality.model_validate({"max_bullet_lines": None}).max_bullet_lines.values()) == {None}


@pytest.mark.parametrize("value", [{"some language": 3}, "80", True, [1]])
def test_what_is_no_threshold_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        Length.model_validate({"min_units": value})


def test_the_particular_goes_before_the_general() -> None:
    limits = {"zh": 1.0, "zh-Hant": 2.0, WORDS: 3.0}
    assert limit_key(limits, "zh-TW", CHARACTERS) == "zh-Hant"
    assert limit_key(limits, "zh", CHARACTERS) == "zh"
    assert limit_key(limits, "fr", WORDS) == limit_key(limits, None, WORDS) == WORDS
    assert limit_key(limits, "ja", CHARACTERS) is None
