"""The filter `language`: keeps the languages that are named; zh has variants; what was not examined is not judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.filters import FILTERS
from pipeline.filters.base import build_filter
from pipeline.filters.rules import KEPT, apply_rules
from pipeline.filters.section import Clean

LANGUAGES = ["en", "zh", "zh-Hant", "yue", "fr", "code", "und-Latn", None]


def kept(options: dict[str, Any], confidence: float = 1.0, second: float = 0.0) -> list[str | None]:
    rules = build_filter(FILTERS, "language", FILTERS.section("language").model_validate(options).model_dump()).rules()
    size = len(LANGUAGES)
    signals = {
        "own_units": np.array([float("zh" in str(tag) or tag == "yue") for tag in LANGUAGES]),
        "language_confidence": np.full(size, confidence), "second_language": np.full(size, second),
    }  # fmt: skip
    first = apply_rules(list(rules), signals, LANGUAGES).first
    return [tag for tag, number in zip(LANGUAGES, first.tolist(), strict=True) if number == KEPT]


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (["en", "zh"], ["en", "zh", "zh-Hant", "yue"]),
        (["zh-Hans"], ["zh"]),
        (["zh-CN", "ENG"], ["en", "zh"]),
        (["zh-TW"], ["zh-Hant"]),
        (["yue", "code"], ["yue", "code"]),
        (["unknown"], ["und-Latn", None]),
        (None, LANGUAGES),
    ],
)
def test_only_the_named_languages_stay(keep: list[str] | None, expected: list[str | None]) -> None:
    assert kept({"keep": keep}) == expected


def test_an_uncertain_language_and_a_second_one_are_dropped_and_what_was_not_examined_is_not() -> None:
    limits = {"min_confidence": 0.8, "max_second_language": 0.3}
    assert kept(limits, confidence=0.79) == [] and kept(limits, second=0.31) == []
    assert kept(limits, 0.8, 0.3) == LANGUAGES and kept(limits, np.nan, np.nan) == LANGUAGES


def test_the_reason_of_a_dropped_document_names_the_rule_and_records_the_confidence() -> None:
    rules = list(build_filter(FILTERS, "language", {"keep": ["zh"]}).rules())
    signals = {name: np.array([0.9]) for name in ("language_confidence", "second_language")}
    result = apply_rules(rules, {**signals, "own_units": np.zeros(1)}, ["en"])
    assert [rules[number].name for number in result.first.tolist()] == ["language.keep"]
    assert result.value[0] == 0.9 and np.isnan(result.threshold[0]) and result.failed == {"language.keep": 1}


@pytest.mark.parametrize("keep", [[], ["12"], ["x"]])
def test_a_wrong_list_of_languages_is_refused(keep: list[str]) -> None:
    with pytest.raises(ValidationError):
        Clean.model_validate({"filters": [{"language": {"keep": keep}}]})
