"""The lock of a submission: the versions of libraries that were tried together, compared with those of the cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

import cluster
from pipeline.core.errors import UserError

NAME = "constraints.txt"
OURS = "bloomery"
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)={2,3}(?P<version>\S+)")


def lock_text() -> str:
    """The constraints that this installation was tried with: beside the packages, or within them.

    Raises: UserError when the installation has none.
    """
    package = Path(cluster.__file__).parent
    for path in (package.parent / NAME, package / "deploy" / NAME):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise UserError(f"{package / 'deploy' / NAME}: is missing. Install bloomery again.")


def pins(text: str) -> dict[str, str]:
    """Name → version of every pin in a file of constraints; names are normalised."""
    matches = (PIN.match(line) for line in text.splitlines())
    return {normalise(match["name"]): match["version"] for match in matches if match}


def differences(locked: Mapping[str, str], libraries: Mapping[str, str]) -> list[str]:
    """How this machine differs from a lock, a clause each: of what bloomery needs, and `libraries` of plug-ins.

    A local label (2.13.0+cpu) makes no difference.
    """
    needed = {name: locked.get(name, "") for name in _needed(OURS)} | {
        normalise(name): version for name, version in libraries.items()
    }
    clauses = []
    for name, pinned in sorted(needed.items()):
        try:
            installed = version(name).partition("+")[0]
        except PackageNotFoundError:
            clauses.append(f"{name} is not installed" + (f" ({pinned} here)" if pinned else ""))
            continue
        if pinned and installed != pinned.partition("+")[0]:
            clauses.append(f"{name} {installed} instead of {pinned}")
    return clauses


def _needed(name: str) -> set[str]:
    """The distributions that a distribution needs, however deep, without extras; a missing one ends its branch."""
    needed: set[str] = set()
    waiting = list(_requirements(name))
    while waiting:
        distribution = waiting.pop()
        if distribution not in needed:
            needed.add(distribution)
            waiting += _requirements(distribution)
    return needed


def _requirements(name: str) -> Iterator[str]:
    try:
        texts = requires(name) or []
    except PackageNotFoundError:
        return
    for requirement in map(Requirement, texts):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield normalise(requirement.name)


def normalise(name: str) -> str:
    """The name of a distribution as indexes compare it: lower case, dashes."""
    return re.sub(r"[-_.]+", "-", name).lower()
