"""Names in YAML and the classes they stand for. A table holds import strings, so a name costs no import until used."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.core.errors import UserError

OURS = frozenset({"cluster", "pipeline", "training"})


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ "Did you mean 'x'?" for the closest known word, or the list of them, or nothing."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"Known: {', '.join(names)}." if names else ""


def load(target: str) -> Any:
    """The object behind "module:attribute".

    Raises: UserError when the module or the attribute is not there.
    """
    module_name, _, attribute = target.partition(":")
    if not attribute:
        raise UserError(f"{target}: not an import string. Write it as module:name.")
    module = _import(module_name, target)
    if not hasattr(module, attribute):
        raise UserError(f"{target}: {module_name} has no {attribute!r}. {did_you_mean(attribute, dir(module))}")
    return getattr(module, attribute)


def _import(module: str, target: str) -> ModuleType:
    """The module; a user's own that is missing or fails while it is imported is an error of the input."""
    try:
        return importlib.import_module(module)
    except UserError:
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
            raise UserError(f"{target}: no module named {module!r}. Install it, or name its folder.") from error
        if module.partition(".")[0] in OURS:
            raise
        raise UserError(f"{target}: cannot be imported ({type(error).__name__}: {error}).") from error


def add_plugin_folder(folder: Path) -> None:
    """Let "module:Class" find modules in `folder`; appended last, so it can never shadow a package of ours."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


@dataclass(frozen=True)
class Registry:
    """The alternatives of one kind: {"length": "pipeline.filters.length:Length", ...}."""

    kind: str
    table: Mapping[str, str]

    def names(self) -> list[str]:
        return sorted(self.table)

    def target(self, name: str) -> str:
        """The import string of a registered name or of "module:Class" itself.

        Raises: UserError for a name that is neither.
        """
        if name in self.table:
            return self.table[name]
        if ":" in name:
            return name
        raise UserError(f"unknown {self.kind} '{name}'. {did_you_mean(name, self.table)}")

    def load(self, name: str) -> Any:
        """The class that `name` stands for; imports it now."""
        return load(self.target(name))
