"""The exact parser accepts what Python's parser accepts, keeps every digit, and handles any depth."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.readers.exact_json import MAX_LEVELS, Number, Value, parse

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


def outline(value: Any) -> Value:
    """What `parse` gives for a value: numbers as text, nested values empty."""
    if isinstance(value, dict):
        return {}
    if isinstance(value, list):
        return []
    return value if value is None or isinstance(value, bool | str) else Number(json.dumps(value))


# no deadline: the machine that runs the tests may be busy
UNTIMED = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@UNTIMED
@given(st.dictionaries(st.text(), VALUES), st.sampled_from([None, 1]), st.booleans())
def test_an_object_is_read_as_python_reads_it(value: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert parse(text) == {key: outline(item) for key, item in value.items()}


@UNTIMED
@given(st.text(alphabet='[]{}:,"\\\\ \\n0129.eE+-NaInfitytrulsx\\u6587', max_size=12))
def test_what_python_refuses_is_refused_and_nothing_else(text: str) -> None:
    try:
        value = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):
            parse(text)
        return
    expected = {key: outline(item) for key, item in value.items()} if isinstance(value, dict) else outline(value)
    assert parse(text) == expected or isinstance(expected, Number), text


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"键":', "}")])
def test_depth_costs_no_recursion_and_has_a_bound(opening: str, closing: str) -> None:
    assert parse('{"a": ' + opening * MAX_LEVELS + "1" + closing * MAX_LEVELS + "}") in ({"a": []}, {"a": {}})
    with pytest.raises(ValueError, match="levels of nesting"):
        parse('{"a": ' + opening * (MAX_LEVELS + 1) + "1" + closing * (MAX_LEVELS + 1) + "}")
