"""The `clean` section: which of its two stages runs again after which change."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.core.config import Component
from pipeline.core.registry import Entry, load
from pipeline.filters import FILTERS
from pipeline.filters import section as filter_sections
from pipeline.filters.base import build_filter
from pipeline.filters.section import Clean, measuring_plugins, rules_params, rules_plugins, signals_params

CODE = """
import numpy as np
from pipeline.core.config import Section
from pipeline.filters.base import DocumentFilter, Filter
from pipeline.filters.limits import Limits, Thresholds

def tidy(text):
    return text.strip()

class Polite(DocumentFilter):
    class Options(Section):
        word: str = "please"
        min_score: float = 0.5

    def keep(self, document):
        return self.options.word in document["text"]

class LivelyOptions(Thresholds):
    mark: str = "!"
    max_marks: Limits = {"words": 0.1, "characters": 0.1}

class Lively(Filter):
    Options = LivelyOptions

    def signal_names(self):
        return ["marks"]

    def signals(self, documents):
        counts = [text.count(self.options.mark) / max(1, len(text)) for text in documents["text"].to_pylist()]
        return {"marks": np.array(counts)}

    def rules(self):
        return [self.rule("max_marks", "marks")]
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The module of a user's own filters."""
    (tmp_path / "my_filters.py").write_text(CODE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("my_filters", None)
    return "my_filters"


def both(**fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    section = Clean.model_validate(fields)
    return signals_params(section, 17), rules_params(section, 17)


def test_a_changed_threshold_redoes_the_rules_and_not_the_signals() -> None:
    signals, rules = both(filters=[{"length": {"min_units": 80}}, "quality"])
    others, changed = both(filters=[{"length": {"min_units": 81}}, "quality"])
    assert signals == others and rules != changed


def test_a_filter_left_out_redoes_the_rules_and_not_the_signals() -> None:
    signals, rules = both()
    others, changed = both(filters=["length"])
    assert signals == others and rules != changed


def test_a_changed_cleaner_redoes_the_signals() -> None:
    assert both()[0] != both(cleaners=[])[0]


def test_the_unicode_version_is_part_of_the_signals() -> None:
    assert both()[0]["unicode"] == "14.0.0"


def test_how_much_rejected_text_is_kept_is_part_of_the_rules_alone() -> None:
    assert both()[0] == both(keep_rejected_text=None)[0]
    assert both()[1] != both(keep_rejected_text=None)[1]


def test_every_option_that_a_plug_in_measures_with_is_part_of_the_signals(plugin: str) -> None:
    def polite(**options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return both(filters=[{f"{plugin}:Polite": options}])

    signals, rules = polite()
    assert signals["filters"][0]["options"] == {"word": "please", "min_score": 0.5}
    assert polite(min_score=0.7)[0] != signals and polite(min_score=0.7)[1] != rules
    assert polite(word="thanks")[0] != signals


def test_a_limit_of_a_plug_ins_rule_is_part_of_the_rules_alone(plugin: str) -> None:
    def lively(**options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return both(filters=[{f"{plugin}:Lively": options}])

    signals, rules = lively()
    assert signals["filters"][0]["options"] == {"mark": "!"}
    assert lively(max_marks=0.7)[0] == signals and lively(max_marks=0.7)[1] != rules
    assert lively(mark="！")[0] != signals


def test_a_built_in_filter_that_measures_is_part_of_the_signals(plugin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load(f"{plugin}:LivelyOptions"), "MEASURES", True)
    lively = Entry("lively", f"{plugin}:LivelyOptions", f"{plugin}:Lively")
    monkeypatch.setattr(filter_sections, "FILTERS", replace(FILTERS, entries=(*FILTERS.entries, lively)))
    component = Component(name="lively", options={"mark": "!", "max_marks": {"words": 0.2, "characters": 0.2}})
    section = Clean.model_construct(cleaners=[], filters=[Component(name="length"), component])
    assert signals_params(section, 17)["filters"] == [{"name": "lively", "options": {"mark": "!"}}]


def test_a_filter_of_ours_says_whether_it_measures() -> None:
    for name in FILTERS.names():
        measures = getattr(FILTERS.section(name), "MEASURES", False)
        # a filter whose signals depend on an option may have none in its default reading
        assert measures or not build_filter(FILTERS, name, {}).signal_names(), name


def test_the_sources_of_a_stage_are_those_of_its_own_plug_ins(plugin: str) -> None:
    section = Clean.model_validate({"cleaners": [f"{plugin}:tidy"], "filters": [f"{plugin}:Polite", "length"]})
    assert measuring_plugins(section) == [f"{plugin}:tidy", f"{plugin}:Polite"]
    assert rules_plugins(section) == [f"{plugin}:Polite"]


@pytest.mark.parametrize(
    "fields",
    [{"filters": ["lenght"]}, {"filters": [{"length": {"min_unit": 3}}]}, {"filters": ["length", "length"]},
     {"keep": 1}, {"cleaners": [{"unicode": {"form": "NFKC"}}]}],
)  # fmt: skip
def test_mistakes_are_found_before_any_work(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Clean.model_validate(fields)


def test_the_section_loads_nothing_heavy() -> None:
    code = """
import sys
from pipeline.filters.section import Clean, signals_params
signals_params(Clean(), 1)
heavy = {"numba", "polars", "torch", "apache_beam", "ray", "transformers"} & set(sys.modules)
sys.exit(str(heavy) if heavy else 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
