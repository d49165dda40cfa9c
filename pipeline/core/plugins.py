"""A user's own code: which plug-ins a section names, and the source files that enter a stage's fingerprint.

A plug-in is a "module:attribute" where a registered name could stand. Its sources are the file of its module and every
file that it imports, however deep, functions included; a library counts by the version of its distribution. Files that
a plug-in reads, and imports under a computed name, are not included. Costs one parse per file, nothing without
plug-ins.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.machinery import all_suffixes
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel

from pipeline.core.config import Component, NamesAlternative
from pipeline.core.files import JsonObject, JsonValue

PLUGINS = "plugins"  # the key of a stage's parameters that holds the sources
# a stage's version stands for what our own packages do, the interpreter for its library
NOT_FOLLOWED = frozenset({"cluster", "pipeline", "training"}) | sys.stdlib_module_names
INSTALLED = frozenset({"site-packages", "dist-packages"})


def plugin_names(value: object) -> Iterator[str]:
    """Every "module:attribute" that a section names as an alternative, in order; a name may come twice."""
    if isinstance(value, Component):
        if ":" in value.name:
            yield value.name
    elif isinstance(value, BaseModel):
        for field, info in type(value).model_fields.items():
            item = getattr(value, field)
            if any(isinstance(metadata, NamesAlternative) for metadata in info.metadata):
                if ":" in item:
                    yield item
            else:
                yield from plugin_names(item)
    elif isinstance(value, Mapping):
        yield from plugin_names(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from plugin_names(item)


def with_sources(params: Mapping[str, JsonValue], names: Iterable[str]) -> JsonObject:
    """The parameters of a stage with the sources of its plug-ins; as they are where there is none."""
    hashes = sources(names)
    return {**params, PLUGINS: hashes} if hashes else dict(params)


def without_sources(params: Mapping[str, JsonValue]) -> JsonObject:
    """The parameters of a stage as its section wrote them."""
    return {key: value for key, value in params.items() if key != PLUGINS}


def sources(names: Iterable[str]) -> dict[str, str]:
    """{"my_pkg/filters.py": sha256 of the file, "spacy": version of the distribution} of plug-ins, sorted by key."""
    return {
        name: hashlib.sha256(source.read_bytes()).hexdigest() if isinstance(source, Path) else source
        for name, source in source_files(names).items()
    }


def source_files(names: Iterable[str]) -> dict[str, Path | str]:
    """{"my_pkg/filters.py": its path here, "spacy": version of the distribution} of plug-ins, sorted by key."""
    sources: dict[str, Path | str] = {}
    visited: set[str] = set()
    waiting = [name.partition(":")[0] for name in names]
    while waiting:
        module = waiting.pop()
        if module in visited or module.partition(".")[0] in NOT_FOLLOWED:
            continue
        visited.add(module)
        file = _file_of(module)
        distributions = _distributions().get(module.partition(".")[0], [])
        if distributions and (file is None or INSTALLED & set(file.parts)):
            sources |= {name: version(name) for name in distributions}
            continue
        if "." in module:  # the file of a package runs before those in it
            waiting.append(module.rpartition(".")[0])
        if file is not None:
            sources[_key(module, file)] = file
            waiting += _imports(module, file)
    return dict(sorted(sources.items()))


def source_changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """What differs between the sources of two artifacts, a sentence each."""
    return [
        _change(name, old.get(name), new.get(name)) for name in sorted({*old, *new}) if old.get(name) != new.get(name)
    ]


def _change(name: str, old: str | None, new: str | None) -> str:
    if not name.endswith(tuple(all_suffixes())):
        return f"{name} {old or 'absent'} → {new or 'absent'} (a plug-in imports it)"
    change = "is no longer used" if new is None else "is new" if old is None else "changed"
    return f"the plug-in source {name} {change}"


@cache
def _distributions() -> Mapping[str, list[str]]:
    """Which distributions a top-level module belongs to; reads the metadata of all of them, about 0.2 s."""
    from importlib.metadata import packages_distributions

    return {top: sorted(set(names)) for top, names in packages_distributions().items()}


def _file_of(module: str) -> Path | None:
    """The file that holds a module, found without importing it; None for a folder without one or no module at all."""
    loaded = getattr(sys.modules.get(module), "__file__", None)
    if loaded is not None:
        return Path(loaded)
    folders = [Path(folder or ".") for folder in sys.path]
    file: Path | None = None
    for part in module.split("."):
        file, folders = _find(part, folders)
    return file


def _find(name: str, folders: Iterable[Path]) -> tuple[Path | None, list[Path]]:
    """The file of one level of a module's name, and the folders of the next level."""
    namespace_folders: list[Path] = []
    for folder in folders:
        for suffix in all_suffixes():
            if (package := folder / name / f"__init__{suffix}").is_file():
                return package, [folder / name]
        for suffix in all_suffixes():
            if (file := folder / f"{name}{suffix}").is_file():
                return file, []
        if (folder / name).is_dir():
            namespace_folders.append(folder / name)  # a package without a file of its own may lie in several folders
    return None, namespace_folders


def _key(module: str, file: Path) -> str:
    """The file's name below the folder that its import begins in: no path of this machine."""
    parts = module.split(".")
    return "/".join([*parts, file.name] if file.name.startswith("__init__.") else [*parts[:-1], file.name])


def _imports(module: str, file: Path) -> list[str]:
    """The modules that a file may import, those inside functions and of relative imports too."""
    if file.suffix != ".py":
        return []
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError:  # never imported, or the plug-in would not have loaded
        return []
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    return [name for node in ast.walk(tree) for name in _imported(node, package)]


def _imported(node: ast.AST, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom) or (node.level and not package):
        return []
    base = node.module or ""
    if node.level:
        above = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*above, base] if base else above)
    # `from a import b` may mean the module a.b
    return [name for name in (base, *(f"{base}.{alias.name}" for alias in node.names)) if name]
