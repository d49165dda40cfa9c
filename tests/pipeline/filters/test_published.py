"""Published filters: the cases of datatrove's own tests, the readings beside each other, Chinese counterparts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.filters import FILTERS
from pipeline.filters.base import build_filter, measure_all
from pipeline.filters.rules import KEPT, apply_rules
from pipeline.filters.section import Clean
from pipeline.kernels.column import measure

CASES = Path(os.environ.get("BLOOMERY_DATA", "../shared/data")) / "conformance" / "datatrove.jsonl"
# options of datatrove → ours
OPTIONS = {
    "min_doc_words": "min_words", "max_doc_words": "max_words", "line_punct_thr": "min_ended_lines",
    "short_line_thr": "max_short_lines",
}  # fmt: skip
FIXED = {"short_line_length": 30}  # options that we have with this value alone
NAMES = {
    "GopherQualityFilter": "gopher_quality", "GopherRepetitionFilter": "gopher_repetition", "C4QualityFilter": "c4",
    "FineWebQualityFilter": "fineweb",
}  # fmt: skip
# datatrove drops an empty text; ours never reaches a filter, because ingest drops it
ELSEWHERE = {"datatrove-29": "an empty text is dropped by ingest"}


def reason(text: str, name: str, options: dict[str, Any], language: str = "en") -> str | None:
    """The rule of the filter that drops the text, None if it stays."""
    entry = Clean(filters=[{name: options}]).filters[0]
    built = build_filter(FILTERS, entry.name, entry.options)
    column = pa.array([text], pa.large_string())
    documents = pa.table({"id": ["a"], "text": pa.chunked_array([column]), "language": [language]})
    signals = {**measure(column, [language]), **measure_all([built], documents)}
    rules = built.rules()
    first = apply_rules(rules, signals, [language]).first[0]
    return None if first == KEPT else rules[first].name


def cases() -> list[dict[str, Any]]:
    if not CASES.exists():
        return []
    rows = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if row["op"] in (*NAMES, "C4ParagraphFilter")]


@pytest.mark.skipif(not CASES.exists(), reason=f"{CASES} is not there: set BLOOMERY_DATA")
def test_every_case_of_datatrove_is_decided_as_there() -> None:
    wrong = []
    for row in cases():
        if row["id"] in ELSEWHERE:
            continue
        if row["op"] == "C4ParagraphFilter":
            off = {"max_lorem_ipsum": None, "max_curly_brackets": None, "min_sentences": None}
            name, options = "c4", {**off, "min_long_lines": 3}
        else:
            assert all(FIXED[key] == value for key, value in row["params"].items() if key in FIXED)
            options = {OPTIONS[key]: value for key, value in row["params"].items() if key in OPTIONS}
            name, options = NAMES[row["op"]], {"reading": "datatrove", **options}
        rule = reason(row["input"], name, options)
        if (rule is None) != row["expected"]["keep"]:
            wrong.append((row["id"], rule, row["expected"]))
    assert not wrong


PROSE = "The furnace stood at the edge of the village, and every autumn the smiths came down the hills to feed it. "
LINES = "\n".join(f"{PROSE}Line {number} ends properly, as all of them do with care." for number in range(6))


@pytest.mark.parametrize("reading", ["paper", "code", "datatrove"])
def test_c4_keeps_prose_and_drops_a_page_for_a_line_that_survives(reading: str) -> None:
    assert reason(LINES, "c4", {"reading": reading}) is None
    assert (
        reason(f"{LINES}\nThis is lorem ipsum, you know it well.", "c4", {"reading": reading}) == "c4.max_lorem_ipsum"
    )
    assert reason(f"{LINES}\nA bracket {{ stands here in the text.", "c4", {"reading": reading}) is not None


@pytest.mark.parametrize("reading", ["paper", "code", "datatrove"])
def test_lorem_ipsum_on_a_line_without_an_end_mark_is_not_seen(reading: str) -> None:
    assert reason(f"{LINES}\nThis is lorem ipsum, you know it well", "c4", {"reading": reading}) is None


def test_chinese_prose_passes_c4_in_our_reading() -> None:
    text = "\n".join(f"第{number}天，铁匠们从山上下来。他们用筐背来矿石！" for number in "一二三四")
    assert reason(text, "c4", {}, "zh") is None
    assert reason("首页\n登录\n注册", "c4", {}, "zh") == "c4.min_sentences"


def test_fineweb_drops_lists_and_repeated_lines() -> None:
    assert reason(LINES, "fineweb", {}) is None
    assert reason("\n".join(["item"] * 3 + ["other"] * 9), "fineweb", {}) == "fineweb.min_ended_lines"
    assert reason(f"{LINES}\n{LINES}", "fineweb", {}) == "fineweb.max_repeated_line_characters"


def test_a_reading_has_its_own_limits_and_an_option_overrides_them() -> None:
    def limit(**options: Any) -> Any:
        return Clean(filters=[{"fineweb": options}]).filters[0].options["max_repeated_line_characters"]["en"]

    assert limit() == 0.01
    assert limit(reading="paper") == 0.1
    assert limit(reading="paper", max_repeated_line_characters={"en": 0.3}) == 0.3


def test_refinedweb_drops_a_page_of_menus() -> None:
    assert reason(LINES, "refinedweb", {}) is None
    assert reason("HOME\nABOUT US\n3 likes\nSign in\n" + PROSE, "refinedweb", {}) == "refinedweb.max_flagged_words"
    chinese = "首页\n登录\n12 人点赞\n加入购物车\n" + "村口有一座炉子。" * 3
    assert reason(chinese, "refinedweb", {}, "zh") == "refinedweb.max_flagged_words"


def test_english_limits_judge_no_other_language() -> None:
    for name in ("gopher_quality", "gopher_repetition", "refinedweb", "fineweb"):
        assert reason("cuire cuire cuire", name, {}, "fr") is None, name


def test_filters_that_share_a_pass_measure_as_they_do_alone() -> None:
    names = ("gopher_quality", "gopher_repetition", "fineweb", "c4", "refinedweb")
    entries = Clean(filters=[{n: {} if n == "refinedweb" else {"reading": "datatrove"}} for n in names]).filters
    texts = [LINES, PROSE * 20, "a b c " * 40, "", "第一天，铁匠们从山上下来。", "x\n\ny\n\nx\r\nz … ... [1] {"]
    documents = pa.table({"id": texts, "text": pa.array(texts, pa.large_string()), "language": ["en"] * len(texts)})
    filters = [build_filter(FILTERS, entry.name, entry.options) for entry in entries]
    together = measure_all(filters, documents)
    for built in filters:
        for row in range(len(texts)):
            for name, values in measure_all([built], documents.slice(row, 1)).items():
                assert np.array_equal(values, together[name][row : row + 1], equal_nan=True), (name, row)
