"""The plan names what changed in the words of the YAML."""

from __future__ import annotations

from cluster.differences import differences


def test_a_changed_threshold_is_named_with_both_values() -> None:
    old = {"filters": ["quality", {"length": {"min_units": 80}}]}
    new = {"filters": ["quality", {"length": {"min_units": 100}}]}
    assert differences(old, new, "clean") == ["clean.filters.length.min_units 80 → 100"]


def test_a_filter_that_came_or_went_is_named() -> None:
    old = {"filters": [{"length": {"min_units": 80}}, {"repetition": {}}]}
    new = {"filters": [{"length": {"min_units": 80}}, {"language": {"keep": ["zh", "en"]}}]}
    found = differences(old, new, "clean")
    assert found == ["clean.filters.language absent → keep ['zh', 'en']", "clean.filters.repetition present → absent"]


def test_an_order_that_changed_is_said_to_be_the_order() -> None:
    old, new = {"cleaners": ["unicode", {"pii": {}}]}, {"cleaners": [{"pii": {}}, "unicode"]}
    assert differences(old, new, "clean") == ["clean.cleaners order [unicode, pii] → [pii, unicode]"]


def test_equal_parameters_differ_in_nothing() -> None:
    params = {"model": {"gpt": {"layers": 2}}, "prompts": ["今天", "Once"]}
    assert differences(params, dict(params), "pretrain") == []


def test_a_list_of_texts_is_shown_whole() -> None:
    found = differences({"prompts": ["今天"]}, {"prompts": ["今天", "The"]}, "evaluate")
    assert found == ["evaluate.prompts [今天] → [今天, The]"]
