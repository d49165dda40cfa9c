"""Compiled kernels: their cache folder, their versions, and several processes that need them at once."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.kernels.compiler import cache_folder, inlined, kernel
from pipeline.kernels.first_use import COMPILING, reporting

MODULE = """
import json, sys, numpy as np
from pipeline.kernels.compiler import kernel
@kernel
def add_up(values):
    total = 0
    for value in values:
        total += value
    return total
assert add_up(np.arange(5)) == 10
print(sum(add_up.stats.cache_misses.values()), sum(add_up.stats.cache_hits.values()))
"""


@inlined
def add(total: Any, value: Any) -> Any:
    return total + value


@kernel
def add_up(values: Any) -> Any:
    total = 0
    for at in range(len(values)):
        total = add(total, values[at])
    return total


def test_the_cache_folder_is_configurable_and_its_name_hashes_the_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    folder = cache_folder()
    assert folder.parent == tmp_path and folder.name.startswith("bloomery-kernels-")
    assert cache_folder() == folder


def test_without_a_writable_folder_the_cache_is_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder can be made below a file")
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(blocked / "below"))
    folder = cache_folder()
    assert folder.is_dir() and os.access(folder, os.W_OK)
    folder.rmdir()


def test_a_kernel_compiles_no_version_for_a_variable_that_begins_as_zero() -> None:
    assert add_up(np.arange(4)) == 6
    functions: Any = add
    assert len(functions.overloads) == 1


def test_a_function_of_kernels_says_that_python_cannot_call_it() -> None:
    with pytest.raises(TypeError, match="add is called by kernels only"):
        add(1, 2)


def test_one_process_compiles_a_kernel_and_the_others_load_it(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(MODULE)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(tmp_path / "module.py")]
    processes = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = sorted(process.communicate()[0].split() for process in processes)
    assert printed == [["0", "1"], ["1", "0"]]


def test_the_first_use_of_a_kernel_is_reported_once_and_the_next_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # numba keeps the kernels of modules that can be imported
    (tmp_path / "adds_up.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path / "cache"))
    sentences: list[str] = []
    for _ in range(2):
        with reporting(sentences.append):
            importlib.import_module("adds_up")
            del sys.modules["adds_up"]
    assert sentences[0] == COMPILING and sentences[1].startswith("kernels compiled in") and len(sentences) == 2
