"""Names in YAML and what they stand for: one entry is a name, the section of its options, its class.

A table holds import strings, so that a name costs no import until used, and its section none of its code.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel

from pipeline.core.errors import UserError

OURS = frozenset({"cluster", "pipeline", "training"})
SECTION = "pipeline.core.config:Section"
T = TypeVar("T")


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
class Entry:
    """One line of a table: a name in YAML, the section of its options (pydantic alone), its class. Import strings both.

    Without a class, other code does what the name says; without a section, there is nothing to say.
    """

    name: str
    section: str = SECTION
    code: str = ""


class Chosen(Protocol):
    """A name with its options, as `config.Component` holds them."""

    @property
    def name(self) -> str: ...

    @property
    def options(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Registry(Generic[T]):
    """The alternatives of one kind, by name; and a user's own, as "module:Class".

    `base`: what a class of a user's own derives from (import string); `functions`: a plain function will do too;
    `options`: the section of one that names no `Options`.
    """

    kind: str
    entries: tuple[Entry, ...]
    base: str = ""
    functions: bool = False
    options: str = SECTION

    def names(self) -> list[str]:
        return sorted(entry.name for entry in self.entries)

    def __contains__(self, name: object) -> bool:
        return any(entry.name == name for entry in self.entries)

    def known(self, name: str) -> str:
        """The name, if it is registered or "module:Class" of a user's own that can be loaded.

        Raises: UserError for any other.
        """
        if name in self:
            return name
        if ":" not in name:
            raise UserError(f"unknown {self.kind} '{name}'. {did_you_mean(name, self.names())}")
        self._plugin(name)
        return name

    def target(self, name: str) -> str:
        """The import string of an alternative's class, or of a user's own."""
        entry = self._entry(name)
        return name if entry is None else entry.code

    def section(self, name: str) -> type[BaseModel]:
        """The section of an alternative's options; loads a user's own code, and none of ours."""
        entry = self._entry(name)
        if entry is not None:
            section: type[BaseModel] = load(entry.section)
            return section
        target = self._plugin(name)
        if isinstance(target, type) and issubclass(target, BaseModel):
            return target
        options: type[BaseModel] | None = getattr(target, "Options", None)
        return load(self.options) if options is None else options

    def load(self, name: str) -> type[T]:
        """The class of an alternative (or a user's function); imports it now."""
        entry = self._entry(name)
        if entry is not None and not entry.code:
            raise UserError(f"{self.kind} '{name}' has no class of its own: it goes with word vectors alone.")
        target: type[T] = self._plugin(name) if entry is None else load(entry.code)
        return target

    def create(self, chosen: Chosen, *more: Any) -> T:
        """The object of a component: its class, given its options as their section and then `more`.

        Where the class is the section itself, that section is the object.
        """
        code: Any = self.load(chosen.name)
        options: Any = self.section(chosen.name).model_validate(chosen.options)
        same = isinstance(code, type) and isinstance(options, code)
        created: T = options if same else code(options, *more)
        return created

    def _entry(self, name: str) -> Entry | None:
        entry = next((entry for entry in self.entries if entry.name == name), None)
        if entry is None:
            self.known(name)
        return entry

    def _plugin(self, name: str) -> Any:
        target = load(name)
        if not self.base or (isinstance(target, type) and issubclass(target, load(self.base))):
            return target
        if self.functions and callable(target) and not isinstance(target, type):
            return target
        module, _, base = self.base.partition(":")
        how = " or write a plain function" if self.functions else ""
        raise UserError(f"{name}: is no {self.kind}. Let it derive from {base} of {module}{how}.")
