"""Filters of users: a plain function of one document, or a class with options."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.core.errors import StageFailed
from pipeline.core.records import DOCUMENTS
from pipeline.filters import FILTERS
from pipeline.filters.base import Filter, build_filter, build_measuring_filter, measure
from pipeline.filters.rules import apply_rules

CODE = """
from pipeline.core.config import Section
from pipeline.filters.base import DocumentFilter
from pipeline.filters.limits import Limits, Thresholds

def polite(document):
    return "please" in document["text"] or "请" in document["text"]

def wrong(document):
    return document["no such column"]

class Long(DocumentFilter):
    class Options(Section):
        most: int = 5
    def keep(self, document):
        return min(1.0, len(document["text"]) / self.options.most)

class Sly(DocumentFilter):
    class Options(Thresholds):
        min_letters: Limits = {"words": 3, "characters": 3}
        max_share: float = 0.5
    def keep(self, document):
        return len(document["text"]) >= self.options.min_letters["words"]

class Open(DocumentFilter):
    class Options(Section):
        min_letters: int = 3
    def keep(self, document):
        return len(document["text"]) >= self.options.min_letters
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_filters.py").write_text(CODE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("my_filters", None)
    return "my_filters"


def documents(*texts: str) -> pa.Table:
    return pa.Table.from_pylist([{"id": text, "text": text} for text in texts], schema=DOCUMENTS)


def keeps(tested: Filter, *texts: str) -> list[bool]:
    table = documents(*texts)
    signals = {**tested.signals(table), "own_units": np.zeros(len(texts))}
    assert list(tested.signal_names()) == [name for name in signals if name != "own_units"]
    return (apply_rules(list(tested.rules()), signals, [None] * len(texts)).first < 0).tolist()


def test_a_plain_function_says_who_stays(plugin: str) -> None:
    built = build_filter(FILTERS, f"{plugin}:polite", {})
    assert keeps(built, "please go", "go", "请走") == [True, False, True]
    assert built.rules()[0].name == "my_filters:polite"


def test_a_class_takes_options_and_gives_a_score(plugin: str) -> None:
    assert keeps(build_filter(FILTERS, f"{plugin}:Long", {"most": 8}), "abcd", "abc", "abcdefghi") == [
        True,
        False,
        True,
    ]


def test_a_function_that_fails_is_named_with_its_document(plugin: str) -> None:
    with pytest.raises(StageFailed, match=r"filter my_filters:wrong: failed on document abc: KeyError"):
        build_filter(FILTERS, f"{plugin}:wrong", {}).signals(documents("abc"))


def test_an_option_called_min_reaches_what_is_measured(plugin: str) -> None:
    built = build_measuring_filter(FILTERS, f"{plugin}:Open", {"min_letters": 5})
    assert measure(built, documents("四个字母", "五个字母了"))[f"{plugin}:Open"].tolist() == [0.0, 1.0]


def test_what_is_measured_cannot_read_a_limit_of_a_rule(plugin: str) -> None:
    built = build_measuring_filter(FILTERS, f"{plugin}:Sly", {"max_share": 0.25})
    assert built.options.max_share == 0.25  # type: ignore[attr-defined]
    with pytest.raises(StageFailed, match=r"filter my_filters:Sly: its signals read min_letters, a limit"):
        measure(built, documents("abc"))
