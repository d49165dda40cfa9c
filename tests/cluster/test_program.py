"""The lines that say what to type next can be typed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cluster.program import program


def test_the_way_to_the_command_is_told_where_the_shell_would_not_find_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / ".venv" / "bin" / "bloomery"
    command.parent.mkdir(parents=True)
    command.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(command)])
    monkeypatch.setenv("PATH", "")
    assert program() == ".venv/bin/bloomery"
    monkeypatch.setenv("PATH", str(command.parent))
    assert program() == "bloomery"
