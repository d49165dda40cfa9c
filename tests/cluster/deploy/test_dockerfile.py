"""The RUN lines of the Dockerfile that install Python packages, in a fresh virtual environment: no daemon runs here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cluster

pytestmark = pytest.mark.long

DEPLOY = Path(cluster.__file__).parent / "deploy"
ROOT = DEPLOY.parents[1]
IMAGE = "/opt/bloomery"
# they change the system of the image, not its Python packages
OF_THE_SYSTEM = ("apt-get", "useradd")


def run_lines(text: str) -> Iterator[str]:
    for line in re.findall(r"^RUN (.+)$", text.replace("\\\n", " "), re.MULTILINE):
        if not line.startswith(OF_THE_SYSTEM):
            yield line


def environment(text: str) -> dict[str, str]:
    """The arguments of the image with their defaults, and its variables."""
    arguments = dict(re.findall(r"^ARG (\w+)=(\S*)$", text, re.MULTILINE))
    pairs = [pair for line in re.findall(r"^ENV (.+)$", text, re.MULTILINE) for pair in line.split()]
    return {**arguments, **dict(pair.split("=", 1) for pair in pairs if not pair.startswith("PATH="))}


def test_the_run_lines_make_an_environment_in_which_bloomery_runs(tmp_path: Path) -> None:
    image = tmp_path / "image"
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace(IMAGE, str(image))
    source = image / "source"
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    if not names:
        pytest.skip("needs the sources under git, to copy what COPY copies")
    for name in filter(None, names.split("\0")):
        if (ROOT / name).exists():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name, follow_symlinks=False)
    settings = {name: value for name, value in environment(text).items() if value}
    python = Path(sys.executable).resolve().parent
    variables = {**os.environ, **settings, "PATH": f"{image / 'venv' / 'bin'}:{python}:{os.environ['PATH']}"}
    variables.pop("PYTHONPATH", None)
    for line in run_lines(text):
        ended = subprocess.run(
            ["sh", "-c", line], cwd=image, env=variables, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, f"{line}\n{ended.stdout}\n{ended.stderr}"
    checked = subprocess.run(
        [image / "venv" / "bin" / "bloomery", "check", source / "configs" / "demo.yaml"], cwd=tmp_path, env=variables,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
    installed = image / "venv" / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    files = {path.relative_to(installed / "cluster" / "deploy").as_posix()
             for path in (installed / "cluster" / "deploy").rglob("*") if path.is_file()}  # fmt: skip
    assert {"Dockerfile", "compose.yaml", "slurm.sh", "constraints.txt", "kubernetes/rayjob.yaml"} <= files


def test_the_packages_of_the_system_exist() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    [listed] = re.findall(r"--no-install-recommends ([a-z0-9 -]+?) &&", text)
    if shutil.which("apt-cache") is None:
        pytest.skip("apt-cache is not here")
    for package in listed.split():
        shown = subprocess.run(["apt-cache", "show", package], capture_output=True, text=True, check=False).stdout
        assert f"Package: {package}" in shown, package
