"""Rules: on the threshold a document stays, beyond it goes; the first that fails is the reason; all is counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.filters import FILTERS
from pipeline.filters.base import Rule, filter_of
from pipeline.filters.rules import KEPT, Verdict, judge
from pipeline.kernels.signals import NAMES

LANGUAGES: dict[str, float] = {"en": 0.0, "fr": 0.0, "zh": 1.0, "ja": 1.0}  # and their share of own units
ALL = [rule for name in ("length", "quality", "repetition") for rule in filter_of(FILTERS, name, {}).rules()]


def verdict_of(rules: list[Rule], language: str | None, own_units: float = 0.0, **values: float) -> Verdict:
    signals = {name: np.array([values.get(name, np.nan)]) for name in (*NAMES, *values)}
    return judge(rules, {**signals, "own_units": np.array([own_units])}, [language])


def cases() -> list[Any]:
    found = []
    for rule in ALL:
        for language, own in LANGUAGES.items():
            limit = rule.limits.get(language, rule.limits.get("characters" if own else "words"))
            if limit is not None:
                found.append(pytest.param(rule, language, own, limit, id=f"{rule.name}-{language}"))
    return found


@pytest.mark.parametrize(("rule", "language", "own_units", "limit"), cases())
def test_a_value_on_the_threshold_stays_and_one_beyond_goes(
    rule: Rule, language: str, own_units: float, limit: float
) -> None:
    beyond, within = np.nextafter(limit, -np.inf), np.nextafter(limit, np.inf)
    if rule.side == "max":
        beyond, within = within, beyond
    for value, first in ((limit, KEPT), (float(within), KEPT), (float(beyond), 0)):
        found = verdict_of([rule], language, own_units, **{rule.signal: value})
        assert found.first.tolist() == [first]
    assert (found.value[0], found.threshold[0]) == (beyond, limit)


# Rae et al. 2021, A.1.1 and table A1, for languages written with spaces
GOPHER = {
    "length.min_units": 50, "quality.min_mean_unit_length": 3, "quality.max_mean_unit_length": 10,
    "quality.max_hash_signs": 0.1, "quality.max_ellipses": 0.1, "quality.max_bullet_lines": 0.9,
    "quality.max_ellipsis_lines": 0.3, "quality.min_letter_units": 0.8, "repetition.max_duplicate_lines": 0.3,
    "repetition.max_duplicate_paragraphs": 0.3, "repetition.max_duplicate_line_characters": 0.2,
    "repetition.max_duplicate_paragraph_characters": 0.2, "repetition.max_top_2gram_characters": 0.2,
    "repetition.max_top_3gram_characters": 0.18, "repetition.max_top_4gram_characters": 0.16,
    "repetition.max_duplicate_5gram_characters": 0.15, "repetition.max_duplicate_6gram_characters": 0.14,
    "repetition.max_duplicate_7gram_characters": 0.13, "repetition.max_duplicate_8gram_characters": 0.12,
    "repetition.max_duplicate_9gram_characters": 0.11, "repetition.max_duplicate_10gram_characters": 0.10,
}  # fmt: skip


def test_the_defaults_for_words_are_the_papers() -> None:
    found = {rule.name: rule.limits.get("words") for rule in ALL}
    assert {name: found[name] for name in GOPHER} == GOPHER
    assert next(rule for rule in ALL if rule.name == "quality.min_function_words").limits["en"] == 2


def test_the_first_rule_that_fails_is_the_reason_and_the_others_are_counted() -> None:
    found = verdict_of(ALL, "en", units=3, letter_units=0.1, duplicate_lines=0.9)
    assert ALL[found.first[0]].name == "length.min_units"
    assert found.failed == {"length.min_units": 1, "quality.min_letter_units": 1, "repetition.max_duplicate_lines": 1}


def test_a_language_without_a_list_skips_the_rule_and_that_is_counted() -> None:
    rules = [rule for rule in ALL if rule.name == "quality.min_function_words"]
    signals = {"own_units": np.zeros(3), "function_words": np.array([np.nan, 0.0, np.nan])}
    found = judge(rules, signals, ["fr", "en", None])
    assert found.first.tolist() == [KEPT, 0, KEPT]
    assert found.skipped == {"quality.min_function_words": {"fr": 1, "any, by words": 1}}


def test_a_rule_that_is_off_is_not_counted_as_skipped() -> None:
    rules = filter_of(FILTERS, "length", {"min_units": None, "max_units": {"words": None, "zh": 9}}).rules()
    assert verdict_of(list(rules), "en", units=0).skipped == {}
    assert verdict_of(list(rules), "zh", 1.0, units=10).first.tolist() == [1]


def test_a_tag_that_the_text_contradicts_is_not_believed() -> None:
    rules = [rule for rule in ALL if rule.name in ("length.min_units", "quality.min_function_words")]
    chinese_said_to_be_english = verdict_of(rules, "en", 0.99, units=30, function_words=0)
    assert chinese_said_to_be_english.first.tolist() == [KEPT]
    assert chinese_said_to_be_english.skipped == {"quality.min_function_words": {"any, by characters": 1}}
    urls_said_to_be_chinese = verdict_of(rules, "zh", 0.0, units=30, function_words=0)
    assert urls_said_to_be_chinese.first.tolist() == [0]
    assert urls_said_to_be_chinese.threshold.tolist() == [50]


def test_an_empty_batch_is_judged() -> None:
    empty = {name: np.empty(0) for name in NAMES}
    assert len(judge(ALL, empty, []).first) == 0
