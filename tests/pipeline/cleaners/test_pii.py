"""The cleaner `pii`: placeholders, counts, the allow-list, and that nothing depends on the order of documents."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.cleaners.pii import PersonalData
from pipeline.pii.section import Pii

ENGLISH = "Mail jane@example.com or call 415-555-0137; SSN 512-34-6789; host 8.8.4.4."
CHINESE = "邮箱：wang@example.com.cn，手机13912345678，身份证11010519491231002X。"
PIECES = st.sampled_from(
    ["13912345678", "-", "@", "a@example.com", "8.8.8.8", ".", "1", " ", "号", "QQ12345", "<PHONE>", "x", "/", "+1",
     "512-34-6789", "４", "http://a:b@c.de", "AKIAIOSFODNN7EXAMPLE", "\n"]
)  # fmt: skip


def clean(*texts: str, **options: Any) -> list[str]:
    cleaned: list[str] = PersonalData(Pii(**options)).clean(pa.array(texts, pa.large_string())).to_pylist()
    return cleaned


def count(text: str, **options: Any) -> dict[str, float]:
    signals = PersonalData(Pii(**options)).clean_and_measure(pa.array([text], pa.large_string())).signals
    return {name: values[0] for name, values in signals.items() if values[0]}


def test_each_kind_becomes_its_placeholder() -> None:
    assert clean(ENGLISH, CHINESE, "plain text", "") == [
        "Mail <EMAIL> or call <PHONE>; SSN <SSN>; host <IP_ADDRESS>.",
        "邮箱：<EMAIL>，手机<PHONE>，身份证<ID_NUMBER>。",
        "plain text",
        "",
    ]


def test_placeholders_kinds_and_actions_are_options() -> None:
    assert clean(ENGLISH, kinds=["email", "ipv4"], placeholders={"email": "[mail]"}, actions={"ipv4": "count"}) == [
        "Mail [mail] or call 415-555-0137; SSN 512-34-6789; host 8.8.4.4."
    ]
    assert clean(ENGLISH, action="count") == [ENGLISH]


def test_matches_are_counted_by_kind_whatever_the_action() -> None:
    expected = {"pii": 4, "pii_email": 1, "pii_phone_us": 1, "pii_us_ssn": 1, "pii_ipv4": 1}
    assert count(ENGLISH) == count(ENGLISH, action="count") == count(ENGLISH, action="drop") == expected


def test_allowed_values_are_left_alone() -> None:
    assert clean("Mail A@Example.com, b@example.org; 8.8.8.8, 1.1.1.1", allow=["@example.com", "8.8.8.8"]) == [
        "Mail A@Example.com, <EMAIL>; 8.8.8.8, <IP_ADDRESS>"
    ]


def test_a_column_that_is_a_slice_is_cleaned_as_if_it_were_whole() -> None:
    texts = pa.array([CHINESE, ENGLISH, "x", CHINESE], pa.large_string())
    cleaner = PersonalData(Pii())
    assert cleaner.clean(texts.slice(1, 2)).to_pylist() == cleaner.clean(texts).to_pylist()[1:3]


def test_a_text_without_personal_data_is_not_copied() -> None:
    texts = pa.array(["plain", "纯文本"], pa.large_string())
    assert PersonalData(Pii()).clean(texts) is texts


@given(st.lists(st.lists(PIECES, max_size=12).map("".join), max_size=5))
def test_cleaning_is_idempotent_and_independent_of_the_order(texts: list[str]) -> None:
    cleaned = clean(*texts)
    assert clean(*cleaned) == cleaned
    assert clean(*reversed(texts)) == list(reversed(cleaned))


@pytest.mark.parametrize("placeholder", ["", " ", "<1>", "a@b", "http://x"])
def test_a_placeholder_that_could_be_found_itself_is_refused(placeholder: str) -> None:
    with pytest.raises(ValidationError, match="a placeholder is text without"):
        Pii(placeholders={"email": placeholder})
