"""The folder that a submission uploads: this code, the resolved configuration, plug-ins and the lock.

    cluster/ pipeline/ training/ bloomery-….dist-info/   this code: what `check` accepted here is what runs there
    job/  config.yaml  constraints.txt  order.json       the configuration, the lock, and what the job does with them
          …                                              the user's plug-ins; searched last, as on this machine

Ray unpacks it on every host and puts its root on the import path, before what is installed there (tried: the code of
the package hides an installed one, in the job and in every worker). Values of ${NAME} are in none of its files.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import cluster
from cluster.submission.lock_file import NAME as LOCK
from cluster.submission.lock_file import OURS, lock_text
from pipeline.core.errors import UserError
from pipeline.core.plugins import source_files

JOB, CONFIG, ORDER = "job", "config.yaml", "order.json"
PACKAGES = ("cluster", "pipeline", "training")
LEAST_SECRET = 6  # characters; anything shorter is in many files by chance


@dataclass(frozen=True)
class JobOrder:
    """What the job does: `flags` of `bloomery run`, `libraries` that plug-ins import (name → version).

    `any_versions`: run though the libraries of the cluster differ from the lock.
    """

    flags: tuple[str, ...] = ()
    libraries: Mapping[str, str] = field(default_factory=dict)
    any_versions: bool = False


def write_package(
    folder: Path,
    config: str,
    order: JobOrder,
    *,
    plugins: Sequence[str],
    include: Sequence[Path],
    secrets: Mapping[str, str],
) -> int:
    """Write the package into an empty folder; return its size in bytes. The libraries of `plugins` join the order.

    `plugins`: "module:attribute" of each; `include`: further files or folders for them; `secrets`: value → its name.

    Raises: UserError when an included file is missing, takes the place of another, or holds the value of a secret.
    """
    _copy_code(folder)
    job = folder / JOB
    job.mkdir()
    libraries = {}
    for name, source in source_files(plugins).items():
        if isinstance(source, str):
            libraries[name] = source
        else:
            (job / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, job / name)
    for path in include:
        _copy_included(path, job)
    order = replace(order, libraries=libraries)
    for name, text in ((CONFIG, config), (LOCK, lock_text()), (ORDER, json.dumps(asdict(order), indent=1))):
        if (job / name).exists():
            raise UserError(f"{name}: is a file of the package itself. Rename yours.")
        (job / name).write_text(text, encoding="utf-8")
    _check_secrets(job, secrets)
    return sum(path.stat().st_size for path in _files(folder))


def read_order(job: Path) -> JobOrder:
    """The order in the package of a job."""
    values = json.loads((job / ORDER).read_text(encoding="utf-8"))
    return JobOrder(tuple(values["flags"]), values["libraries"], values["any_versions"])


def _copy_code(folder: Path) -> None:
    home = Path(cluster.__file__).parents[1]
    for package in PACKAGES:
        shutil.copytree(home / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    try:
        installed = distribution(OURS)
    except PackageNotFoundError:  # run from a folder of sources: there is no metadata to send
        return
    metadata = folder / f"{OURS}-{installed.version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(installed.read_text("METADATA") or "", encoding="utf-8")


def _copy_included(path: Path, job: Path) -> None:
    """Copy a file or a folder beside the plug-ins, under its path relative to the current folder."""
    inside = path.absolute()
    try:
        target = job / inside.relative_to(Path.cwd())
    except ValueError as error:
        raise UserError(f"--include {path}: is not inside the current folder.") from error
    if not inside.exists():
        raise UserError(f"--include {path}: does not exist.")
    if inside.is_dir():
        shutil.copytree(inside, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(inside, target)


def _check_secrets(job: Path, secrets: Mapping[str, str]) -> None:
    long = {value.encode(): name for value, name in secrets.items() if len(value) >= LEAST_SECRET}
    for path in _files(job):
        data = path.read_bytes()
        for value, name in long.items():
            if value in data:
                raise UserError(
                    f"{path.relative_to(job)}: holds the value of {name}, which must not leave this machine in a file. "
                    "Read it from the environment there."
                )


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
