"""A plug-in may be a cleaner class over the column or a plain function on a text."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.cleaners import CLEANERS
from pipeline.cleaners.base import cleaner_of
from pipeline.core.errors import StageFailed


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_cleaners.py").write_text(
        "def upper(text):\n    return text.upper()\n\ndef wrong(text):\n    return None\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("my_cleaners", None)
    return "my_cleaners"


def test_a_plain_function_is_mapped_over_the_column(plugin: str) -> None:
    cleaned = cleaner_of(CLEANERS, f"{plugin}:upper", {}).clean(pa.array(["a", "中b"], pa.large_string()))
    assert cleaned.to_pylist() == ["A", "中B"] and cleaned.type == pa.large_string()


def test_a_function_that_returns_no_text_is_an_error_with_its_name(plugin: str) -> None:
    with pytest.raises(StageFailed, match=r"cleaner my_cleaners:wrong: gave NoneType, not str"):
        cleaner_of(CLEANERS, f"{plugin}:wrong", {}).clean(pa.array(["a"], pa.large_string()))


def test_a_registered_cleaner_is_created_by_name() -> None:
    assert cleaner_of(CLEANERS, "unicode", {}).clean(pa.array(["a\r\n"], pa.large_string())).to_pylist() == ["a"]
