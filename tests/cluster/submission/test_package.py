"""The folder that is uploaded: the code, the configuration, plug-ins with what they import, and no secret."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from cluster.submission.package import JOB, JobOrder, read_order, write_package
from pipeline.core.errors import UserError


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "user"
    (folder / "my_package").mkdir(parents=True)
    (folder / "my_package" / "__init__.py").touch()
    (folder / "my_package" / "filters.py").write_text("import yaml\nfrom my_package import words\n", encoding="utf-8")
    (folder / "my_package" / "words.py").write_text("WORDS = ['铁']\n", encoding="utf-8")
    (folder / "unrelated.py").write_text("1\n", encoding="utf-8")
    (folder / "lists").mkdir()
    (folder / "lists" / "rude.txt").write_text("rude\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    return folder


def package(folder: Path, config: str = "name: x\n", include: Sequence[Path] = (), **secrets: str) -> Path:
    folder.mkdir()
    order = JobOrder(("--to", "pack"))
    named = {value: name for name, value in secrets.items()}
    write_package(folder, config, order, plugins=["my_package.filters:Polite"], include=include, secrets=named)
    return folder


def test_a_package_holds_code_configuration_lock_and_plug_ins(user: Path, tmp_path: Path) -> None:
    folder = package(tmp_path / "package", include=[Path("lists")])
    job = folder / JOB
    files = {path.relative_to(job).as_posix() for path in job.rglob("*") if path.is_file()}
    assert files == {
        "config.yaml", "constraints.txt", "order.json", "my_package/__init__.py", "my_package/filters.py",
        "my_package/words.py", "lists/rude.txt",
    }  # fmt: skip
    order = read_order(job)
    assert order.flags == ("--to", "pack") and list(order.libraries) == ["PyYAML"]
    assert (folder / "cluster" / "cli.py").is_file() and list(folder.glob("bloomery-*.dist-info/METADATA"))
    assert not list(folder.rglob("*.pyc"))


def test_the_code_of_a_package_runs_before_what_is_installed(user: Path, tmp_path: Path) -> None:
    folder = package(tmp_path / "package")
    code = "import cluster.cli, importlib.metadata as m; print(cluster.__file__, m.version('bloomery'))"
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=folder / JOB, env={"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert printed.startswith(str(folder / "cluster" / "__init__.py"))


def test_a_file_with_the_value_of_a_secret_is_refused(user: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.yaml: holds the value of PROBE_TOKEN"):
        package(tmp_path / "first", config="key: correct-horse\n", PROBE_TOKEN="correct-horse")
    (user / "lists" / "rude.txt").write_text("correct-horse", encoding="utf-8")
    with pytest.raises(UserError, match=r"lists/rude\.txt: holds the value of PROBE_TOKEN") as caught:
        package(tmp_path / "second", include=[user / "lists"], PROBE_TOKEN="correct-horse")
    assert "correct-horse" not in str(caught.value)


def test_an_included_file_is_inside_the_folder_and_replaces_nothing(user: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--include /etc/hostname: is not inside the current folder"):
        package(tmp_path / "first", include=[Path("/etc/hostname")])
    with pytest.raises(UserError, match="--include absent.txt: does not exist"):
        package(tmp_path / "second", include=[Path("absent.txt")])
    (user / "config.yaml").touch()
    with pytest.raises(UserError, match="is a file of the package itself"):
        package(tmp_path / "third", include=[Path("config.yaml")])
