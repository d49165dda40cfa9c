"""Registries of alternatives: an entry is a name in YAML, the section of its options, and its class.

Entries are import strings, so nothing is imported until a name is used, and a section is loaded without its code.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

from pipeline.core.errors import UserError
from pipeline.core.files import JsonObject

if TYPE_CHECKING:  # 0.1 s to import, which `--help` does not need
    from pydantic import BaseModel

OURS = frozenset({"cluster", "pipeline", "training"})
SECTION = "pipeline.core.config:Section"
T = TypeVar("T")


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """ "Did you mean 'x'?" for the closest candidate, otherwise the list of candidates, if there are any."""
    names = sorted(candidates)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"Known: {', '.join(names)}." if names else ""


def load(target: str) -> Any:
    """The object that "module:attribute" names.

    Raises: UserError when the module or the attribute does not exist.
    """
    module_name, _, attribute = target.partition(":")
    if not attribute:
        raise UserError(f"{target}: not an import string. Write it as module:name.")
    module = _import(module_name, target)
    if not hasattr(module, attribute):
        raise UserError(f"{target}: {module_name} has no {attribute!r}. {did_you_mean(attribute, dir(module))}")
    return getattr(module, attribute)


def _import(module: str, target: str) -> ModuleType:
    """Import a module; a module of the user that is missing or fails while it is imported is an error of the input."""
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
    """Let "module:Class" find modules in `folder`; it is searched last, so it cannot shadow our packages."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def plugin_folders() -> list[str]:
    """The folders that a process elsewhere has to search for modules of the user."""
    return [path for path in sys.path if path]


@dataclass(frozen=True)
class Entry:
    """A name in YAML, and the import strings of the section of its options (pydantic only) and of its class.

    Without a class, the name is handled by other code; without a section, there are no options.
    """

    name: str
    section: str = SECTION
    code: str = ""


class NamedOptions(Protocol):
    """A name with options, such as `config.Component`."""

    @property
    def name(self) -> str: ...

    @property
    def options(self) -> JsonObject: ...


@dataclass(frozen=True)
class Registry(Generic[T]):
    """The alternatives of one kind by name, and plug-ins as "module:Class".

    `base`: the import string of the class from which a plug-in must derive; `functions`: whether a plug-in may be a
    plain function; `options`: the section of a plug-in without `Options`.
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

    def check_name(self, name: str) -> str:
        """Return the name if it is registered, or is "module:Class" of a plug-in that can be loaded.

        Raises: UserError for any other name.
        """
        if name in self:
            return name
        if ":" not in name:
            raise UserError(f"unknown {self.kind} '{name}'. {did_you_mean(name, self.names())}")
        self._plugin(name)
        return name

    def target(self, name: str) -> str:
        """The import string of the class of an alternative, or of a plug-in."""
        entry = self._entry(name)
        return name if entry is None else entry.code

    def section(self, name: str) -> type[BaseModel]:
        """The section of the options of an alternative; loads the code of a plug-in, but none of ours."""
        entry = self._entry(name)
        if entry is not None:
            section: type[BaseModel] = load(entry.section)
            return section
        from pydantic import BaseModel

        target = self._plugin(name)
        if isinstance(target, type) and issubclass(target, BaseModel):
            return target
        options: type[BaseModel] | None = getattr(target, "Options", None)
        return load(self.options) if options is None else options

    def load(self, name: str) -> type[T]:
        """Import and return the class of an alternative, or the class or function of a plug-in."""
        entry = self._entry(name)
        if entry is not None and not entry.code:
            raise UserError(f"{self.kind} '{name}' has no class of its own: it can only be used with word vectors.")
        target: type[T] = self._plugin(name) if entry is None else load(entry.code)
        return target

    def create(self, component: NamedOptions, *arguments: object) -> T:
        """Create the object of a component: call its class with its section of options and then `arguments`.

        Where the class is the section itself, the section is the object.
        """
        code = cast(Callable[..., T], self.load(component.name))
        options = self.section(component.name).model_validate(component.options)
        if isinstance(code, type) and isinstance(options, code):
            return cast(T, options)
        return code(options, *arguments)

    def _entry(self, name: str) -> Entry | None:
        entry = next((entry for entry in self.entries if entry.name == name), None)
        if entry is None:
            self.check_name(name)
        return entry

    def _plugin(self, name: str) -> Any:
        target = load(name)
        if not self.base or (isinstance(target, type) and issubclass(target, load(self.base))):
            return target
        if self.functions and callable(target) and not isinstance(target, type):
            return target
        module, _, base = self.base.partition(":")
        alternative = ", or write a plain function" if self.functions else ""
        raise UserError(f"{name}: is not a valid {self.kind}. Derive it from {base} of {module}{alternative}.")
