"""The cache folder of compiled kernels."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.kernels.compiler import cache_folder


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
