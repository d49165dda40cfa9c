"""The `clean` section: one section, two stages, and which change redoes which."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.filters.section import Clean, rules_params, signals_params

POLITE = """
from pipeline.core.config import Section
from pipeline.filters.base import DocumentFilter

class Polite(DocumentFilter):
    class Options(Section):
        word: str = "please"
        min_score: float = 0.5

    def keep(self, document):
        return self.options.word in document["text"]
"""


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


def test_a_plug_ins_source_is_part_of_both_and_its_thresholds_of_the_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = tmp_path / "my_filters.py"
    code = POLITE
    plugin.write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("my_filters", None)

    def polite(**options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return both(filters=[{"my_filters:Polite": options}])

    signals, rules = polite()
    assert polite(min_score=0.7)[0] == signals and polite(min_score=0.7)[1] != rules
    assert polite(word="thanks")[0] != signals
    plugin.write_text(code + "# changed\n", encoding="utf-8")
    assert polite()[0] != signals and polite()[1] != rules


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
