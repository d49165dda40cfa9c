"""A library may be imported without its optional libraries, which others can still import afterwards."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipeline.core.absent_modules import absent
from pipeline.core.tables import sorted_by


def _prints(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], text=True, stdout=subprocess.PIPE, check=True).stdout.strip()


def test_an_absent_module_cannot_be_imported_in_the_block_and_can_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with absent("colorsys"), pytest.raises(ModuleNotFoundError, match="colorsys"):
        import colorsys
    import colorsys

    assert colorsys.rgb_to_hls


def test_arrow_does_without_pandas_until_it_is_asked_for_it() -> None:
    code = """
import sys
import pyarrow as pa
from pipeline.core.tables import leave_out_pandas
leave_out_pandas()
pa.array(["语料", "text"])
print("pandas" in sys.modules, pa.table({"a": ["x"]}).to_pandas()["a"][0], "pandas" in sys.modules)
"""
    assert _prints(code) == "False x True"


def test_the_process_that_is_forked_has_imported_nothing_that_no_stage_uses() -> None:
    code = """
import sys
from pipeline.stages.preload import preload
preload()
heavy = ("pandas", "pymongo", "awkward", "scipy.linalg", "polars", "torch", "ray", "apache_beam.io.gcp.bigquery")
print([name for name in heavy if name in sys.modules], "apache_beam" in sys.modules)
"""
    assert _prints(code) == "[] True"


def test_sorting_a_table_keeps_the_order_of_equal_rows() -> None:
    import pyarrow as pa

    table = pa.table({"key": ["b", "a", "b", "a"], "row": [0, 1, 2, 3]})
    assert sorted_by(table, "key")["row"].to_pylist() == [1, 3, 0, 2]
