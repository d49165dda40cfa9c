"""Which plug-ins a section names, and which files and libraries stand for them in a fingerprint."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import UserError
from pipeline.core.plugins import PLUGINS, plugin_names, source_changes, sources, with_sources, without_sources
from pipeline.core.registry import add_plugin_folder, load
from pipeline.dedupe.section import Dedupe
from pipeline.filters.section import Clean
from pipeline.readers.section import Ingest

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """write({"a.py": "code"}) → the plug-in folder; what was imported from it is forgotten afterwards."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def put(files: dict[str, str]) -> Path:
        for name, code in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code, encoding="utf-8")
        return tmp_path

    yield put
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_file_and_all_that_it_imports_are_its_sources(write: Write) -> None:
    write({
        "moja/__init__.py": "", "moja/filters.py": "from . import words\nfrom .deep.lists import A\nimport single\n",
        "moja/words.py": "WORDS = ['请', 'please']\n", "moja/deep/__init__.py": "", "moja/deep/lists.py": "A = 1\n",
        "moja/unused.py": "", "single.py": "def late():\n    from moja import late\n", "moja/late.py": "",
    })  # fmt: skip
    names = ["moja/__init__.py", "moja/deep/__init__.py", "moja/deep/lists.py", "moja/filters.py", "moja/late.py"]
    assert list(sources(["moja.filters:Polite"])) == [*names, "moja/words.py", "single.py"]


def test_a_package_without_a_file_of_its_own_and_a_circle_are_followed(write: Write) -> None:
    write({"bare/one.py": "import bare.two\n", "bare/two.py": "from bare import one\n"})
    assert list(sources(["bare.one:f"])) == ["bare/one.py", "bare/two.py"]


def test_a_library_counts_by_its_version_and_ours_and_pythons_not_at_all(write: Write) -> None:
    write({"counts.py": "import json, os.path\nimport numpy as np\nfrom pipeline.core.config import Section\n"})
    hashes = sources(["counts:f"])
    assert list(hashes) == ["counts.py", "numpy"] and hashes["numpy"] == version("numpy")


def test_a_library_can_be_the_plug_in_itself(write: Write) -> None:
    assert sources(["numpy:abs"]) == {"numpy": version("numpy")}


def test_a_changed_file_is_named_as_it_lies_below_the_plug_in_folder(write: Write) -> None:
    folder = write({"moja/cleaners.py": "from moja.tables import T\n", "moja/tables.py": "T = {}\n"})
    before = sources(["moja.cleaners:tidy"])
    (folder / "moja" / "tables.py").write_text("T = {1: 2}\n", encoding="utf-8")
    (folder / "moja" / "cleaners.py").write_text("from moja.tables import T\nimport numpy\n", encoding="utf-8")
    changed = source_changes(before, sources(["moja.cleaners:tidy"]))
    assert changed == [
        "the plug-in source moja/cleaners.py changed", "the plug-in source moja/tables.py changed",
        f"numpy absent → {version('numpy')} (a plug-in imports it)",
    ]  # fmt: skip


def test_no_path_of_this_machine_enters_a_fingerprint(write: Write) -> None:
    folder = write({"moja/a.py": "import moja.b\n", "moja/b.py": ""})
    assert not any(str(folder) in name for name in sources(["moja.a:f"]))


def test_parameters_without_a_plug_in_stay_as_they_were() -> None:
    params = {"threshold": 0.7}
    assert with_sources(params, []) == params and PLUGINS not in with_sources(params, [])
    assert without_sources({**params, PLUGINS: {"a.py": "1"}}) == params


def test_every_way_to_name_a_plug_in_is_seen(write: Write) -> None:
    code = "def f(document):\n    return True\n"
    write({"moja.py": f"{code}from pipeline.dedupe.base import Method\nfrom pipeline.readers.base import Reader\n"})
    sections: dict[Any, dict[str, Any]] = {
        Clean: {"filters": ["length", "moja:f"], "cleaners": [{"name": "moja:f"}]},
        Dedupe: {"method": "moja:Method"},
        Ingest: {"sources": [{"reader": "moja:Reader", "paths": "a:b.txt"}, {"reader": "plain", "paths": "x"}]},
    }
    names = [list(plugin_names(section.model_validate(options))) for section, options in sections.items()]
    assert names == [["moja:f", "moja:f"], ["moja:Method"], ["moja:Reader"]]


@pytest.mark.parametrize(
    ("code", "words"),
    [("import nicht_da", "No module named 'nicht_da'"), ("def f(:", "SyntaxError"), ("1 / 0", "ZeroDivisionError")],
)
def test_a_module_that_cannot_be_imported_is_one_sentence(write: Write, code: str, words: str) -> None:
    write({"kaputt.py": code})
    with pytest.raises(UserError, match=r"kaputt:f: cannot be imported") as caught:
        load("kaputt:f")
    assert words in str(caught.value)


def test_a_plug_in_folder_hides_nothing_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    add_plugin_folder(tmp_path)
    assert sys.path[-1] == str(tmp_path)
